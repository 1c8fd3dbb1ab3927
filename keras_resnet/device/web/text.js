// The contract's input `text`: the same numbers as text.py's.

const ALIKE = {"\u2019": "'", "\u02bc": "'", "\uff07": "'", "\u03c2": "\u03c3"};
const ALONE = [[0x3040, 0x30ff], [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xf900, 0xfaff], [0x20000, 0x3ffff]];
const BEGINNING = 5, END = 3;  // code points of a token's pieces
const UNKNOWN = 1, FIRST = 2;

function isOfWords(character) {
  const point = character.codePointAt(0);
  return /[\p{L}\p{M}\p{N}]/u.test(character) && !ALONE.some(([first, last]) => first <= point && point <= last);
}

/** The tokens of a text: runs of letters, marks and digits, ideographs, and all else that is seen, one by one. */
export function tokens(text) {
  const characters = Array.from(text.normalize("NFKC").toLowerCase(), (one) => ALIKE[one] ?? one);
  const found = [];
  let run = "";
  characters.forEach((character, i) => {
    const between = character === "'" && run && i + 1 < characters.length && isOfWords(characters[i + 1]);
    if (between || isOfWords(character)) {
      run += character;
      return;
    }
    if (run) found.push(run);
    run = "";
    if (!/[\p{Z}\p{C}]/u.test(character)) found.push(character);
  });
  return run ? [...found, run] : found;
}

/** FNV-1a, 32 bits, of UTF-8. */
function hashed(text, numbers) {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619);
  return (hash >>> 0) % numbers;
}

/** The text of a file's bytes; those of no UTF-8 are refused. */
export function readText(content) {
  try {
    return new TextDecoder("utf-8", {fatal: true}).decode(content);  // without the mark that some editors put before it
  } catch {
    throw new Error("This is no text in UTF-8.");
  }
}

/** From a text to the network's input; `saved` is the contract's `input`. */
export class Text {
  constructor(saved) {
    Object.assign(this, saved);
    this.shape = [saved.length, 1 + (saved.pairs ? 1 : 0) + (saved.pieces ? 2 : 0)];
    this.places = new Map(saved.vocabulary.map((token, i) => [token, FIRST + i]));
  }

  /** int32 [length, numbers of a token]: 0 behind the end, 1 of a token that is not in the vocabulary. */
  ids(text) {
    const found = tokens(text), [rows, columns] = this.shape, known = FIRST + this.vocabulary.length;
    const made = new Int32Array(rows * columns);
    found.slice(0, rows).forEach((token, i) => {
      const at = i * columns;
      made[at] = this.places.get(token) ?? UNKNOWN;
      if (this.pairs && i + 1 < found.length) made[at + 1] = known + hashed(`${token} ${found[i + 1]}`, this.pairs);
      if (this.pieces) {
        const points = Array.from(token), first = known + this.pairs;
        made[at + columns - 2] = first + hashed(`^${points.slice(0, BEGINNING).join("")}`, this.pieces);
        made[at + columns - 1] = first + hashed(`${points.slice(-END).join("")}$`, this.pieces);
      }
    });
    return made;
  }
}
