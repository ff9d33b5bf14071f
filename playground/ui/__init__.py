"""Gradio parts every tab is built from; no family is known here."""
