"""Samples from samples.mjs as batches: what several questions about one drawing share is computed once."""
import json
import queue
import random
import struct
import subprocess
import threading
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import lookups
from model import CELLS, POOLED, SIDE

HERE = Path(__file__).parent
TOKENIZER = Tokenizer.from_file(str(HERE / "../../models/tiny/tokenizer.json"))
START, END = (TOKENIZER.token_to_id(token) for token in ("<|im_start|>", "<|im_end|>"))
KINDS = "shapes=12,gallery=9,pair=8,marks=7,number=5,cameras=4,chart=3,table=2.5,screenshots=3,clip=1.5,clips=2,photo=0.3"
GREETING = "Hello! Show me shapes, a number, a chart, a table or a short video."
SELF = "I am a tiny LLaVA-OneVision model trained on drawings."
SKILLS = "I describe drawings: shapes, numbers, charts, tables, marks and short videos."
ASIDE = "I only know drawings."
NOTHING = "Show me a drawing first."
CHAT = [
    *[(text, GREETING) for text in "Hello!|Hello|hello|Hi|Hi!|hi|Hey|Hey there!|Good morning.|Good evening!|Greetings.|Hello there.|Hello again!".split("|")],
    *[(text, SELF) for text in "Who are you?|What are you?|What is your name?|Are you a human?|Which model is this?|Tell me about yourself.".split("|")],
    *[(text, SKILLS) for text in "What can you do?|Help|Help!|How can you help me?|What do you know?|What should I ask?".split("|")],
    *[(text, "You are welcome.") for text in "Thank you.|Thanks!|Thank you!|Thanks a lot.|Great, thanks.".split("|")],
    *[
        (text, ASIDE)
        for text in (
            "What is the capital of France?|Why is the sky blue?|How are you?|Tell me a story.|Write a poem about the sea.|What is the weather today?|"
            "Who wrote Hamlet?|Translate this text.|What time is it?|How old are you?|What is two plus two?|Do you like music?|Name a colour.|Name a color.|"
            "Name an animal.|Tell me a joke.|What is love?|Write a program.|Explain gravity.|Where do you live?|Say something.|Go on.|Yes.|No.|Ok|"
            "What is a model?|Is it raining?|Who is the president?|How do I cook rice?|What is your favorite color?|Summarize the text.|Can you sing?"
        ).split("|")
    ],
]
NEWLINE = -1


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False).ids


def full_row(row):
    return -(10 + row)


def pooled_row(row):
    return -(1_000_000 + row)


def visual_rows(medium):
    """The rows of one picture or clip: NEWLINE, or a row of the features of its tiles."""
    first, cells = medium["first"], CELLS * CELLS
    if medium["type"] == "video":
        frames = range(first * POOLED**2, (first + medium["frames"]) * POOLED**2)
        return [pooled_row(row) for row in frames] + [NEWLINE]
    rows = [full_row(first * cells + k) for k in range(cells)]
    if medium["type"] == "pad":
        return rows + [NEWLINE]
    width, height = medium["cols"] * CELLS, medium["rows"] * CELLS
    left, right, top, bottom = 0, width, 0, height
    if medium["w"] / medium["h"] > width / height:
        top = (height - round(round(medium["h"] * (width / medium["w"]), 7))) // 2
        bottom = height - top
    else:
        left = (width - round(round(medium["w"] * (height / medium["h"]), 7))) // 2
        right = width - left
    for y in range(top, bottom):
        for x in range(left, right):
            tile = first + 1 + (y // CELLS) * medium["cols"] + x // CELLS
            rows.append(full_row(tile * cells + (y % CELLS) * CELLS + x % CELLS))
        rows.append(NEWLINE)
    return rows


class Sample:
    """A prefix (the drawing) and branches of one or more questions, each of which sees the prefix and itself."""

    def __init__(self, kind, media, turns, tiles, labels, rng, most=8):
        self.kind, self.tiles, self.labels = kind, tiles, labels
        self.several = len(media) > 1
        rows = [row for medium in media for row in visual_rows(medium)]
        self.prefix = [START] + (encode("user ") + rows if media else [])
        # Rather questions that look something up: descriptions are learnt sooner.
        turns = sorted(turns, key=lambda turn: rng.random() - 0.4 * any(lookups.lookups(turn[0])))[:most]
        rng.shuffle(turns)
        self.questions = [question for question, _ in turns]
        self.branches = []
        while turns:
            taken = 1 if rng.random() < 0.75 else min(len(turns), rng.randint(2, 3))
            self.branches.append(branch(turns[:taken], bool(media), rng))
            turns = turns[taken:]
        self.length = len(self.prefix) + sum(len(ids) for ids, *_ in self.branches)

    def visual(self):
        """For each token of the prefix the row of the features of its tiles, or -1."""
        return np.array([-10 - token if pooled_row(0) < token <= full_row(0) else -1 for token in self.prefix])


def branch(turns, media, rng):
    """Tokens, targets, the tokens that refer to something with what that is, and the tokens of answers with those of the question that they read."""
    ids, targets, refers, reads = [], [], [], []
    for i, (question, answer) in enumerate(turns):
        last = i == len(turns) - 1
        before = "\n" if i == 0 and media else "user \n"
        start = [START] if i > 0 else []
        asked = start + encode(before + question)
        # The template writes a space after the role of a message with a list of parts, none after that of a new answer.
        asked += [END, START] + encode("assistant\n" if last or rng.random() < 0.5 else "assistant \n")
        answered = encode(answer) + [END]
        if media:
            at = len(ids) + len(start) - 1
            says = [(at + len(encode(before + question[:end])), what) for end, what in lookups.lookups(question)]
            answering = range(len(ids) + len(asked) - 1, len(ids) + len(asked) + len(answered) - 1)
            if says and says[0][1] == lookups.CHANGE:
                refers += [(token, lookups.CHANGE) for token in answering]
            elif says:
                refers += says
                reads += [(token, says[0][0], says[-1][0]) for token in answering]
        ids += asked + answered
        targets += [-100] * len(asked) + answered
    return ids, targets, refers, reads


def feed(samples, seed, kinds):
    rng = random.Random(seed)
    process = subprocess.Popen(["node", str(HERE / "samples.mjs"), str(seed), kinds], stdout=subprocess.PIPE)
    read = process.stdout.read
    while length := read(4):
        header = json.loads(read(struct.unpack("<I", length)[0]))
        tiles = np.frombuffer(read(header["tiles"] * SIDE * SIDE * 3), np.uint8).reshape(-1, SIDE, SIDE, 3)
        labels = np.frombuffer(read(header["tiles"] * CELLS * CELLS * 3), np.uint8).reshape(-1, CELLS * CELLS, 3)
        samples.put(Sample(header["kind"], header["media"], header["turns"], tiles, labels, rng))


def collate(samples):
    length = -(-max(sample.length for sample in samples) // 16) * 16
    shape = (len(samples), length)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    rows, pooled, branch_of = (np.full(shape, -1, np.int64) for _ in range(3))
    targets = np.full(shape, -100, np.int64)
    pictured = [sample for sample in samples if sample.tiles is not None]
    lookers, sources, readers, spots, twins = [], [], [], [], []
    total, first = sum(len(sample.tiles) for sample in pictured), 0
    for i, sample in enumerate(samples):
        for j, token in enumerate(sample.prefix):
            if token >= 0:
                ids[i, j] = token
            elif token == NEWLINE:
                rows[i, j] = total * CELLS**2
            elif token > pooled_row(0):
                rows[i, j] = first * CELLS**2 - token + full_row(0)
            else:
                pooled[i, j] = first * POOLED**2 - token + pooled_row(0)
        at = shared = len(sample.prefix)
        visual = sample.visual()
        positions[i, :at], branch_of[i, :at] = np.arange(at), 0
        for b, (tokens, wanted, refers, reads) in enumerate(sample.branches):
            end = at + len(tokens)
            ids[i, at:end], targets[i, at:end], branch_of[i, at:end] = tokens, wanted, b + 1
            positions[i, at:end] = shared + np.arange(len(tokens))
            if sample.kind in lookups.KINDS:
                found = [lookups.referred(what, visual, sample.labels.reshape(-1, 3), CELLS) for _, what in refers]
                sources += [np.pad(match, (0, length - shared)) for match in found]
                lookers += [(i, at + token) for token, _ in refers]
                readers += [(i, *(at + token for token in read)) for read in reads]
            at = end
        if sample.kind in lookups.KINDS:
            # In a picture of several tiles, the first has all of it.
            for j in np.flatnonzero((visual >= 0) & (sample.several | (visual < CELLS**2))):
                spots.append((i, j, visual[j] // CELLS**2, lookups.place_of(visual[j], CELLS)))
        if sample.kind == "pair":
            twins += [(i, j, j - CELLS**2 - 1) for j in np.flatnonzero(visual >= CELLS**2)]
        first += 0 if sample.tiles is None else len(sample.tiles)
    branch_of, order = torch.from_numpy(branch_of), torch.arange(length)
    seen = (branch_of[:, :, None] == branch_of[:, None]) | ((branch_of[:, None] == 0) & (branch_of[:, :, None] > 0))
    mask = (seen & (order[:, None] >= order)) | torch.eye(length, dtype=torch.bool)
    return dict(
        kinds=[sample.kind for sample in samples],
        ids=torch.from_numpy(ids),
        rows=torch.from_numpy(rows),
        pooled=torch.from_numpy(pooled),
        positions=torch.from_numpy(positions),
        targets=torch.from_numpy(targets),
        mask=mask[:, None],
        lookers=torch.tensor(lookers, dtype=torch.long).reshape(-1, 2),
        readers=torch.tensor(readers, dtype=torch.long).reshape(-1, 4),
        spots=torch.tensor(spots, dtype=torch.long).reshape(-1, 4),
        twins=torch.tensor(twins, dtype=torch.long).reshape(-1, 3),
        sources=torch.from_numpy(np.array(sources, bool).reshape(-1, length)),
        tiles=torch.from_numpy(np.concatenate([s.tiles for s in pictured])) if pictured else None,
        labels=torch.from_numpy(np.concatenate([s.labels for s in pictured]).astype(np.int64)) if pictured else None,
    )


def batches(seed, kinds=KINDS, tokens=5200):
    """Batches without end, each of samples of similar length with about so many tokens."""
    rng, samples, made = random.Random(seed), queue.Queue(256), queue.Queue(3)
    threading.Thread(target=feed, args=(samples, seed, kinds), daemon=True).start()

    def fill():
        waiting, asked = [], ["What do you see?"] * 256
        while True:
            while len(waiting) < 64:
                if rng.random() < 0.06:
                    turns = [rng.choice(CHAT) if rng.random() < 0.6 else (rng.choice(asked), NOTHING) for _ in range(rng.randint(2, 5))]
                    waiting.append(Sample("chat", [], turns, None, None, rng))
                    continue
                waiting.append(samples.get())
                # Asked without a drawing.
                asked[rng.randrange(len(asked))] = rng.choice(waiting[-1].questions)
            waiting.sort(key=lambda sample: sample.length)
            at, taken = rng.randrange(len(waiting)), []
            while at < len(waiting) and (not taken or (len(taken) + 1) * waiting[at].length <= tokens):
                taken.append(waiting.pop(at))
            made.put(collate(taken))

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield made.get()
