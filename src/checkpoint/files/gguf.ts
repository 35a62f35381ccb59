/** What is said to who names a GGUF file, which other programs take. */
export const GGUF_CURE =
  'GGUF files are not read: name the folder, or org/name of the hub, with the config.json and the safetensors that ' +
  'it was made from; `serve --quant int4` takes as little memory'

/** Whether a file is a GGUF file, by its name. */
export function isGguf(name: string): boolean {
  return /\.gguf$/i.test(name)
}
