#!/usr/bin/python3
"""What a device could do alone with a play's text: a 3-gram model of characters from its own speaker's words.

  trigram_baseline.py input.txt [--speakers N] [--window T]

Splits the text as `text:FILE;speakers=N` does (runtime/data/text_windows.h): blocks end at empty lines, the first line
names the speaker, the last tenth of what each says is for testing. Prints the perplexity on the same characters that
runnel-coordinator evaluates on, of 3-gram models with interpolated Witten-Bell and with interpolated Kneser-Ney
smoothing, one a device; and, to compare, of one model of everybody's words, which no device has. The n-grams see the
characters before a window's first, which a network does not.
"""
import argparse
import math
from collections import Counter, defaultdict

SYMBOLS = 96


def symbols(text):
    return [ord(c) - 32 if 32 <= ord(c) <= 126 else SYMBOLS - 1 for c in text]


def split_speakers(text):
    said, current, begins = defaultdict(str), None, True
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if not line:
            begins, current = True, None
        elif begins:
            begins = False
            if len(line) > 1 and line.endswith(":"):
                current = line[:-1]
        elif current is not None:
            said[current] += line + "\n"
    return [words for name, words in sorted(said.items(), key=lambda item: (-len(item[1]), item[0]))]


class Trigrams:
    """Interpolated down to the uniform distribution over the alphabet."""

    def __init__(self, texts, kneser_ney):
        self.counts = [defaultdict(Counter) for _ in range(3)]  # by length of the context
        for text in texts:
            for at in range(len(text)):
                for length in range(min(at, 2) + 1):
                    self.counts[length][tuple(text[at - length:at])][text[at]] += 1
        self.kneser_ney = kneser_ney
        if kneser_ney:  # lower orders count in how many contexts a symbol was seen
            for length in (1, 0):
                lower = defaultdict(Counter)
                for context, following in self.counts[length + 1].items():
                    for symbol in following:
                        lower[context[1:]][symbol] += 1
                self.counts[length] = lower
            self.discount = []
            for table in self.counts:
                once = sum(1 for f in table.values() for c in f.values() if c == 1)
                twice = sum(1 for f in table.values() for c in f.values() if c == 2)
                self.discount.append(once / (once + 2 * twice) if once else 0.5)
        self.totals = [{context: sum(f.values()) for context, f in table.items()} for table in self.counts]

    def probability(self, context, symbol):
        p = 1 / SYMBOLS
        for length in range(3):
            if length > len(context):
                break
            key = tuple(context[len(context) - length:])
            following = self.counts[length].get(key)
            if not following:
                continue
            total = self.totals[length][key]
            if self.kneser_ney:
                discount = self.discount[length]
                p = max(following[symbol] - discount, 0) / total + discount * len(following) / total * p
            else:
                p = (following[symbol] + len(following) * p) / (total + len(following))
        return p


def nats(model, text, window):
    """Sum of the cross-entropy over the characters that text_windows() asks for, and how many these are."""
    count = (len(text) - 1) // window * window
    return sum(-math.log(model.probability(text[max(0, at - 2):at], text[at])) for at in range(1, count + 1)), count


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file")
    options.add_argument("--speakers", type=int, default=10)
    options.add_argument("--window", type=int, default=64)
    given = options.parse_args()
    with open(given.file, encoding="latin-1", newline="") as file:
        speakers = split_speakers(file.read())[:given.speakers]
    training, testing = [], []
    for words in speakers:
        text = symbols(words)
        cut = len(text) - len(text) // 10
        training.append(text[:cut])
        testing.append(text[cut:])
    print(f"{len(training)} speakers, {sum(map(len, training))} characters to train on, {sum(map(len, testing))} to test on")
    for name, kneser_ney in (("Witten-Bell", False), ("Kneser-Ney", True)):
        alone = [nats(Trigrams([train], kneser_ney), test, given.window) for train, test in zip(training, testing)]
        everybody = Trigrams(training, kneser_ney)
        together = [nats(everybody, test, given.window) for test in testing]
        for who, parts in (("each device's own", alone), ("everybody's words", together)):
            total, count = sum(n for n, _ in parts), sum(c for _, c in parts)
            print(f"3-gram, {name}, {who}: perplexity {math.exp(total / count):.3f} over {count} characters")


if __name__ == "__main__":
    main()
