// The contract of a model, as contract.py has it: from a thing to the bytes of the network's input, and from those of its
// outputs to an answer. It knows nothing of what runs the network.

import {OUTPUTS} from "./outputs.js";
import {Picture, rint} from "./picture.js";
import {Sound} from "./sound.js";
import {Text} from "./text.js";

const INPUTS = {picture: Picture, sound: Sound, text: Text};
const ARRAYS = {float32: Float32Array, int32: Int32Array, uint8: Uint8Array};
const LIMITS = [0, 255];

export class Contract {
  /** `saved`: contract.json; `tensors`: {input, outputs}, of each {name, type, scale, zero}, outputs as the contract has them. */
  constructor(saved, tensors) {
    this.input = new INPUTS[saved.input.kind](saved.input);
    this.output = new OUTPUTS[saved.output.kind](saved.output);
    this.tensors = tensors;
    this.table = tensors.input.type === "int32" ? [] : this._table();
  }

  /** What each of the 256 pixel values becomes, channel by channel. */
  _table() {
    const {type, scale, zero} = this.tensors.input;
    return Array.from({length: this.input.shape[2]}, (_, channel) => Array.from({length: 256}, (_, pixel) => {
      const x = this.input.scaled(pixel, channel);
      if (type === "float32") return x;
      return Math.min(LIMITS[1], Math.max(LIMITS[0], rint(Math.fround(x / Math.fround(scale))) + zero));
    }));
  }

  /** A typed array, what the network takes, of what an input's `pixels` or `ids` made. */
  quantized(made) {
    const {type} = this.tensors.input, {table} = this;
    if (type === "int32") return made;
    const channels = table.length;
    return ARRAYS[type].from(made, (pixel, i) => table[i % channels][pixel]);
  }

  /** Numbers of a network's outputs, Float32Arrays. */
  dequantized(outputs) {
    return outputs.map((output, i) => {
      const {type, scale, zero} = this.tensors.outputs[i];
      return type === "float32" ? output : Float32Array.from(output, (q) => Math.fround(q - zero) * Math.fround(scale));
    });
  }

  /** The answer of what the network made, as answer.as_json() in Python; `size`: [height, width] of the picture as it is shown. */
  answer(outputs, size = null, top = 5) {
    return this.output.answer(this.dequantized(outputs), top, {input: this.input, size});
  }
}

/** The array of a type that bytes are of. */
export function typed(type, bytes) {
  return new ARRAYS[type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
