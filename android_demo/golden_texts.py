"""What core's TextTest compares with: texts of many scripts, their tokens and numbers; golden_vectors.py writes it."""

from keras_resnet.device.text import Text, tokens

TEXTS = (
    "",
    " \t\n\xa0\u200b",
    "Don't  PANIC!",
    "the dogs\u2019 tail, 'quoted' it\u02bcs a'b'' 'c",
    "3.5\xa0\u20ac",
    "\u7535\u5f71\u5f88\u597d\u3002ok",
    "\u304b\u306aAB\u30ab",
    "nai\u0308ve na\xefve",
    "\ufb01ne \u2460 x\xb2",
    "good\U0001f44d\U0001f3fd\u2764\ufe0f\U0001f468\u200d\U0001f469",
    "\u03a3\u03a9\u03a3 \u0130stanbul STRASSE \u1e9e",
    "\u0391\u03a3-\u0392 \u0391\u03a3:\u0392 \u0391\u03a3\u2019\u0392 \u039f\u0394\u039f\u03a3.",
    "\u0926\u0941\u0928\u093f\u092f\u093e",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643",
    "\u0e2a\u0e27\u0e31\u0e2a",
    "\u10d2\u10d0 \u13a0\u13a1 \u0531\u0582",
    "e\u0301\u0323 q\u0303",
    "\U00020000\U0001d400\U0001d7d9",
    "a\xadb\u2028c",
    "good film , bad film",
    "so-so (really) e.g. #1 @you http://x.y/z?a=b&c",
    "\xbd\u2153 \u2122 \ud55c\uad6d\uc5b4",
    "a " * 40,
    "x" * 10_000,
    "\ufffd\ue000\U0010ffff\x00\x7f",
    "it's it\uff07s",
    # What is alone and what is not, on both sides of where the ranges end; as old as Unicode 13.
    "a\u3005b\u3041c\u30fed\u3105e\u3400f\u4dbfg\u4dc0h\u4e00i\u9ffcj\ua000k",
    "a\ufa0eb\ufa29c\ufb1dd\U00020000e\U0003134af\U0001e900g",
)
VOCABULARY = ("film", "good", "a", "it's", "\u597d", "na\u00efve", "!")


def vectors():
    """A dict for each case."""
    for i, text in enumerate(TEXTS):
        rules = Text(VOCABULARY, 6, (0, 1000)[i % 2], (0, 500)[i // 2 % 2])
        names = ("vocabulary", "length", "pairs", "pieces", "shape")
        about = {name: getattr(rules, name) for name in names}
        yield {"text": text, "tokens": tokens(text), **about, "ids": rules.ids(text).ravel().tolist()}
