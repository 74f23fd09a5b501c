"""Asks a running server through the Python clients that people use: a text, a picture, a stream and an object each.

    npx ocellus serve --name onevision --port 8080
    python3 -m venv python && python/bin/pip install openai litellm llm
    python/bin/python scripts/ask_clients.py http://127.0.0.1:8080/v1 onevision picture.png

A line for each; the exit code is the number of those that failed.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

if len(sys.argv) != 4:
    sys.exit("expected: python ask_clients.py BASE_URL MODEL PICTURE")
base_url, model, picture = sys.argv[1:]
QUESTION = "What is in this picture?"
SCHEMA = {
    "type": "object",
    "properties": {
        "shape": {"enum": ["circle", "square"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["shape", "count"],
    "additionalProperties": False,
}
url = "data:image/png;base64," + base64.b64encode(pathlib.Path(picture).read_bytes()).decode()
text = [{"role": "user", "content": "Hello!"}]
about_picture = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}],
    }
]
as_object = {"type": "json_schema", "json_schema": {"name": "shape", "schema": SCHEMA, "strict": True}}
failures = 0


def ask(name, work):
    """Prints the answer of a client, or why there is none."""
    global failures
    try:
        answer = work()
        if not answer:
            raise ValueError("no answer")
        print("ok  ", name, json.dumps(answer)[:100])
    except Exception as error:  # any failure of a client is a line of the report
        failures += 1
        print("FAIL", name, str(error)[:300])


def checked(answer):
    """An object of the schema, from its text."""
    value = json.loads(answer)
    if value["shape"] not in ("circle", "square") or not 0 <= value["count"] <= 9:
        raise ValueError(f"not of the schema: {answer}")
    return value


def completions(name, complete):
    """The four questions through a function with the interface of OpenAI's chat completions."""
    content = lambda answer: answer.choices[0].message.content
    ask(f"{name}: text", lambda: content(complete(messages=text)))
    ask(f"{name}: picture", lambda: content(complete(messages=about_picture)))
    ask(
        f"{name}: stream",
        lambda: "".join(
            chunk.choices[0].delta.content or "" for chunk in complete(messages=about_picture, stream=True) if chunk.choices
        ),
    )
    ask(f"{name}: object", lambda: checked(content(complete(messages=about_picture, response_format=as_object))))


def with_openai():
    from openai import OpenAI

    client = OpenAI(base_url=base_url, api_key="none", max_retries=0)
    completions("openai (Python)", lambda **options: client.chat.completions.create(model=model, **options))


def with_litellm():
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no request to anyone else
    import litellm

    litellm.suppress_debug_info = True
    completions(
        "litellm",
        lambda **options: litellm.completion(model=f"openai/{model}", api_base=base_url, api_key="none", **options),
    )


def with_llm():
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML.
        known = [{"model_id": "own", "model_name": model, "api_base": base_url, "vision": True, "supports_schema": True}]
        pathlib.Path(folder, "extra-openai-models.yaml").write_text(json.dumps(known))
        program = pathlib.Path(sys.executable).parent / "llm"

        def llm(*arguments):
            command = [program, "-m", "own", "--key", "none", *arguments]
            environment = {**os.environ, "LLM_USER_PATH": folder}
            # llm waits for a question on standard input where that is no terminal.
            options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
            return subprocess.run(command, env=environment, check=True, **options).stdout.strip()

        ask("llm: text", lambda: llm("--no-stream", "Hello!"))
        ask("llm: picture", lambda: llm("--no-stream", QUESTION, "--attachment", picture))
        ask("llm: stream", lambda: llm(QUESTION, "--attachment", picture))
        ask("llm: object", lambda: checked(llm(QUESTION, "--attachment", picture, "--schema", json.dumps(SCHEMA))))


with_openai()
with_litellm()
with_llm()
sys.exit(failures)
