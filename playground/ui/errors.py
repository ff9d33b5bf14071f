"""What the page shows when something goes wrong: a visitor's own mistake as its sentence, ours as a neutral one."""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gradio as gr

from ..core.errors import PlaygroundError, register
from . import i18n

P, R = ParamSpec("P"), TypeVar("R")

log = logging.getLogger("playground")

register({
    "page.ours": (
        "Something went wrong on our side; nothing of yours is lost. Try again, or reload the page.",
        "我们这边出了问题；您的内容没有丢失。请重试，或刷新页面。",
    ),
    "page.call": (
        "This is no request that the page makes; reload the page and try again.",
        "这不是本页面发出的请求；请刷新页面后重试。",
    ),
    "page.uploads": (
        "More was uploaded here within an hour than this machine takes; try again later.",
        "一小时内上传到此处的内容已超过本机上限；请稍后再试。",
    ),
    "page.large": (
        "The request is larger than {limit} KB, which is all this page ever needs; send less.",
        "请求超过了 {limit} KB（本页面所需的上限）；请减小内容。",
    ),
})


def guarded(handler: Callable[P, R]) -> Callable[P, R]:
    """A handler for Gradio events: whatever it raises reaches the page as one sentence, never as a traceback."""
    def shown(error: Exception) -> gr.Error:
        return gr.Error(i18n.sentence(visible(error)), title=i18n.say("page.error"), print_exception=False)

    if inspect.isgeneratorfunction(handler):
        @functools.wraps(handler)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                yield from handler(*args, **kwargs)
            except Exception as error:
                raise shown(error) from None
    else:
        @functools.wraps(handler)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return handler(*args, **kwargs)
            except Exception as error:
                raise shown(error) from None

    call.__signature__ = inspect.signature(handler)
    return call


def visible(error: Exception) -> PlaygroundError:
    """The error a visitor may see: their own as it is; any other is logged with its traceback and replaced."""
    if isinstance(error, PlaygroundError):
        return error
    log.error("unexpected error in a handler", exc_info=error)
    return PlaygroundError("page.ours")
