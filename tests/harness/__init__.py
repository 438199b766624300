"""What the whole-process tests share. They speak to Weir through its documented surface only:
programs and their output, the environment, HTTP."""
