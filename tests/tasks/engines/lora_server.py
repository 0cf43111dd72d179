"""A real HTTP server that speaks the part of vLLM's protocol that we use, answered by our own sampling loop."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

from tasks.sampling import generate


class LoraServer(ThreadingHTTPServer):
    """``start``: folder of the start model. Adapters are read from the disk, as vLLM reads them."""

    def __init__(self, start: Path, keeps_end: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.start_folder, self.keeps_end = start, keeps_end
        self.models: dict[str, Any] = {}
        self.calls: list[str] = []
        self.failing = 0  # so many next requests are answered 503
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: LoraServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._reply(200 if self.path == "/health" else 404, "")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.calls.append(self.path)
            if server.failing:
                server.failing -= 1
                return self._reply(503, "busy")
            handlers = {
                "/v1/completions": self._complete,
                "/v1/load_lora_adapter": self._load,
                "/v1/unload_lora_adapter": self._unload,
            }
            handlers[self.path](body)

    def _load(self, body: dict[str, Any]) -> None:
        if body["lora_name"] in self.server.models:
            return self._reply(400, "already loaded")
        model = LlamaForCausalLM.from_pretrained(self.server.start_folder)
        adapted = PeftModel.from_pretrained(model, body["lora_path"])
        self.server.models[body["lora_name"]] = adapted.merge_and_unload().eval()
        self._reply(200, "Success: LoRA adapter added successfully.")

    def _unload(self, body: dict[str, Any]) -> None:
        known = self.server.models.pop(body["lora_name"], None)
        self._reply(404 if known is None else 200, "")

    def _complete(self, body: dict[str, Any]) -> None:
        if body["model"] not in self.server.models:
            return self._reply(404, f"The model {body['model']} does not exist.")
        ends = body["stop_token_ids"]
        ids = generate(
            self.server.models[body["model"]],
            [body["prompt"]],
            max_new_tokens=body["max_tokens"],
            temperature=body["temperature"],
            end_ids=ends,
            pad_id=0,
            generator=torch.Generator().manual_seed(body["seed"]),
        )[0]
        ended = bool(ids) and ids[-1] in ends
        shown = ids if self.server.keeps_end or not ended else ids[:-1]
        choice = {"index": 0, "text": "", "token_ids": shown if body["return_token_ids"] else None}
        choice |= {"finish_reason": "stop" if ended else "length", "stop_reason": ids[-1] if ended else None}
        self._reply(200, json.dumps({"object": "text_completion", "model": body["model"], "choices": [choice]}))

    def _reply(self, code: int, text: str) -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
