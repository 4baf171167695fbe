"""Writes the contract as documents for other languages: JSON Schemas and an AsyncAPI document, under docs/reference/.

python -m schemas.documents            write them
python -m schemas.documents --check    say which are stale; exit 1 if any is
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.alerts import AlertEnvelope
from schemas.aliases import AliasRecord
from schemas.asyncapi import asyncapi, mode_of, without_discriminator
from schemas.card import ModelCard
from schemas.events import EventEnvelope
from schemas.headers import ChunkHeaders, DeadLetterHeaders, StructuredHeaders
from schemas.labels import LabelEnvelope

DOCS = Path(__file__).parent.parent / "docs" / "reference"
MESSAGES: dict[str, type[BaseModel]] = {
    "audio-chunk-headers": ChunkHeaders,
    "structured-headers": StructuredHeaders,
    "emotion-event": EventEnvelope,
    "emotion-label": LabelEnvelope,
    "model-card": ModelCard,
    "model-alias": AliasRecord,
    "dead-letter-headers": DeadLetterHeaders,
    "alert": AlertEnvelope,
}


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one of MESSAGES."""
    model = MESSAGES[name]
    schema: dict[str, Any] = without_discriminator(model.model_json_schema(mode=mode_of(model)))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:undertone:{name}:v1"} | schema


def documents() -> dict[str, str]:
    """Every document: path below docs/reference/ -> text. The same for the same models, to the byte."""
    contents = {f"schemas/{name}.json": json_schema(name) for name in MESSAGES} | {"asyncapi.json": asyncapi()}
    return {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in contents.items()}


def stale(folder: Path = DOCS) -> list[str]:
    """Documents below `folder` that are missing, or differ from what the models say, or that no model has."""
    wanted = documents()
    differ = [
        path
        for path, text in wanted.items()
        if not (folder / path).exists() or (folder / path).read_text(encoding="utf-8") != text
    ]
    strays = [
        f"schemas/{path.name}" for path in sorted(folder.glob("schemas/*")) if f"schemas/{path.name}" not in wanted
    ]
    return differ + strays


def main() -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(description="Write the contract's documents below docs/reference/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document is stale")
    if parser.parse_args().check:
        for path in stale():
            print(f"docs/reference/{path} is stale: run `python -m schemas.documents`", file=sys.stderr)
        return 1 if stale() else 0
    for path, text in documents().items():
        target = DOCS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(f"docs/reference/{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
