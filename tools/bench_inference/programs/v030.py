"""KAITO v0.3.0's way to serve: a handler in FastAPI's thread pool, and one `generate` for each request.

No batching and no queue: requests that come together contend for the CPU. It takes the messages of /chat,
is always greedy.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModelForCausalLM, AutoTokenizer


class GenerateKwargs(BaseModel):
    """The part of v0.3.0's generate_kwargs that the benchmark uses."""

    max_new_tokens: int


class ChatRequest(BaseModel):
    """The part of v0.3.0's request that the benchmark uses."""

    messages: list[dict[str, str]]
    generate_kwargs: GenerateKwargs


def build_app(model: Any, tokenizer: Any) -> FastAPI:  # noqa: ANN401 - transformers has no types
    """Return the application."""
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "Healthy"}

    @app.post("/chat")
    def chat(body: ChatRequest) -> dict[str, Any]:
        tokens = body.generate_kwargs.max_new_tokens
        prompt = tokenizer.apply_chat_template(
            body.messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            made = model.generate(**prompt, max_new_tokens=tokens, do_sample=False)
        new = made[0, prompt["input_ids"].shape[1] :]
        text = tokenizer.decode(new, skip_special_tokens=True)
        return {"Result": text, "usage": {"completion_tokens": len(new)}}

    return app


def main() -> None:
    """Load the model and serve it until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16, local_files_only=True)
    app = build_app(model.eval(), tokenizer)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
