"""Visible strings of the page itself and of the shared parts, key -> (English, Chinese)."""

TEXT = {
    "page.title": ("Generative Playground", "生成模型游乐场"),
    "page.claim": (
        "Understand generative models by touching them: live models, real data, every formula with its numbers.",
        "动手理解生成模型：真实的模型、真实的数据，每个公式都带着当前的数字。",
    ),
    "page.theme": ("Light / dark", "浅色 / 深色"),
    "page.link": ("Copy link", "复制链接"),
    "page.copied": ("Copied", "已复制"),
    "page.error": ("Not possible", "无法完成"),
    "page.warning": ("Left out", "未采用"),
    "part.checkpoint": ("Model", "模型"),
    "part.seed": ("Seed", "随机种子 (seed)"),
    "pad.clear": ("Clear", "清空"),
}
