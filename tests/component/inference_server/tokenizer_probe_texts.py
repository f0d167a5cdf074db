"""What the tokenizers are tried with; apart from the probe, which imports the library."""

TEXTS = ["Hello world", " 🦜 is a parrot.", "größe, isn't it?", "日本語のテスト", "def f(x):\n\treturn x"]
