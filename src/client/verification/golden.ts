import { readFile } from 'node:fs/promises'
import { PetalsError } from '../../base/errors.ts'
import { readRows, readTensor } from '../../checkpoint/weights/read.ts'
import { type TensorSlice, readSafetensorsHeader } from '../../checkpoint/weights/safetensors.ts'
import { type Tensor, fromFloat32 } from '../../tensor/tensor.ts'

/**
 * A greedy continuation: `ids` begins with the prompt; `logprobs` are the reference's log-probabilities of successive
 * ids.
 */
export interface GreedyCase {
  readonly name: string
  readonly promptLength: number
  readonly ids: readonly number[]
  readonly logprobs: readonly number[]
  readonly logprobsName: string
  /**
   * Index in `ids` of the token that `logprobs[0]` belongs to: 1 if every token after the first has one, otherwise the
   * end of the prompt.
   */
  readonly logprobsFrom: number
}

/** Reference results for one model. */
export interface Golden {
  /** [rows][tokens]. */
  readonly inputIds: readonly (readonly number[])[]
  /** float32 tensors by name, without those that hold ids. */
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly greedy: readonly GreedyCase[]
  /** Names of what the file contains and this program does not read. */
  readonly unread: readonly string[]
}

/**
 * Reads a reference file: `*.safetensors` with tensors, or `*.json` with greedy continuations. Throws `GOLDEN_FILE`.
 */
export async function openGolden(file: string): Promise<Golden> {
  return file.endsWith('.json') ? readJson(file) : readSafetensors(file)
}

async function readSafetensors(file: string): Promise<Golden> {
  const slices = new Map((await readSafetensorsHeader(file)).map((slice) => [slice.name, slice]))
  const inputIds = await readIds(file, slices.get('input_ids'))
  const greedyIds = slices.has('greedy_ids') ? await readIds(file, slices.get('greedy_ids')) : []
  const tensors = new Map(
    [...slices.values()]
      .filter(({ dtype }) => dtype === 'float32')
      .map((slice) => [slice.name, readTensor(slice, 'float32')]),
  )
  const logprobs = tensors.get('greedy_logprobs')
  tensors.delete('greedy_logprobs')
  return {
    inputIds,
    tensors,
    greedy: greedyIds.map((ids) => ({
      name: 'greedy_ids',
      promptLength: inputIds[0]!.length,
      ids,
      logprobs: logprobs === undefined ? [] : [...new Float32Array(logprobs.data.slice().buffer)],
      logprobsName: 'greedy_logprobs',
      logprobsFrom: 1,
    })),
    unread: [...slices.values()]
      .filter(({ name, dtype }) => dtype !== 'float32' && name !== 'input_ids' && name !== 'greedy_ids')
      .map(({ name }) => name),
  }
}

async function readIds(file: string, slice: TensorSlice | undefined): Promise<number[][]> {
  if (slice?.dtype !== 'int64' || slice.shape.length !== 2) {
    throw new PetalsError(
      'GOLDEN_FILE',
      `${file}: expected token ids as an int64 tensor [rows, tokens] named input_ids`,
    )
  }
  const [rows = 0, tokens = 0] = slice.shape
  const ids = new BigInt64Array((await readRows(slice, 0, rows)).slice().buffer)
  return Array.from({ length: rows }, (_, row) => Array.from(ids.subarray(row * tokens, (row + 1) * tokens), Number))
}

interface GreedyJson {
  readonly input_ids: number[]
  readonly greedy_ids: number[]
  readonly token_logprobs: number[]
}

interface GoldenJson {
  readonly greedy?: readonly GreedyJson[]
  /** A text, and the mean loss over its tokens. */
  readonly heldout_512?: { readonly ids: number[]; readonly mean_loss: number }
}

async function readJson(file: string): Promise<Golden> {
  let json: GoldenJson
  try {
    json = JSON.parse(await readFile(file, 'utf8')) as GoldenJson
  } catch (error) {
    throw new PetalsError('GOLDEN_FILE', `${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  if (!Array.isArray(json.greedy)) throw new PetalsError('GOLDEN_FILE', `${file} has no list "greedy" of continuations`)
  const heldout = json.heldout_512
  return {
    inputIds: heldout === undefined ? [] : [heldout.ids],
    tensors: new Map(heldout === undefined ? [] : [['loss', fromFloat32(Float32Array.of(heldout.mean_loss), [1])]]),
    greedy: json.greedy.map(({ input_ids: prompt, greedy_ids: ids, token_logprobs: logprobs }, i) => ({
      name: `greedy[${i}].greedy_ids`,
      promptLength: prompt.length,
      ids,
      logprobs,
      logprobsName: `greedy[${i}].token_logprobs`,
      logprobsFrom: ids.length - logprobs.length,
    })),
    unread: Object.keys(json).filter((key) => key !== 'greedy' && key !== 'heldout_512'),
  }
}
