"""The task of drawings.yaml: one drawing, one question, one right answer."""
import io

from PIL import Image


def visual(doc):
    return [Image.open(io.BytesIO(doc["image"])).convert("RGB")]


def text(doc, *_args, **_kwargs):
    return doc["question"]


def results(doc, predictions):
    return {"exact": float(predictions[0].strip() == doc["answer"].strip())}
