"""Which of a repository's files a weights folder needs."""

from inference_server.fetch import wanted_files

REPOSITORY = [
    *("config.json", "generation_config.json", "model-00001-of-00002.safetensors"),
    *("model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "merges.txt"),
    *("chat_template.jinja", "additional_chat_templates/tool_use.jinja"),
    *("README.md", "LICENSE.txt", "pytorch_model.bin", "consolidated.safetensors", "consolidated.00.pth"),
    *("original/params.json", "onnx/model.onnx", "onnx/config.json", "fp16/model.safetensors", "model.gguf"),
    "modeling_custom.py",
]


def test_only_what_the_library_reads_is_fetched() -> None:
    assert set(wanted_files(REPOSITORY, with_code=False)) == {
        *("config.json", "generation_config.json", "model-00001-of-00002.safetensors"),
        *("model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "merges.txt"),
        *("chat_template.jinja", "additional_chat_templates/tool_use.jinja"),
    }


def test_code_is_fetched_only_where_it_is_trusted() -> None:
    extra = set(wanted_files(REPOSITORY, with_code=True)) - set(wanted_files(REPOSITORY, with_code=False))
    assert extra == {"modeling_custom.py"}
