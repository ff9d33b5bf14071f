"""What every family stands on: no family is known here, and no Gradio."""
