// Room checkpoints/: a training that was broken off goes on as if it had not been.

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PetalsError } from '../../../base/errors.ts'
import { Fields } from '../../../checkpoint/config/fields.ts'
import { isFile, isJsonObject, type JsonObject, readJsonObject } from '../../../checkpoint/files/json.ts'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import { writeSafetensors } from '../../../checkpoint/weights/write-safetensors.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../../tensor/tensor.ts'
import type { OptimizerState } from '../optimizers/optimizer.ts'
import { onDisk } from '../results/on-disk.ts'
import { readTensors } from '../results/read-tensors.ts'

/** The best evaluation so far, and what the parameters were then. */
export interface BestEvaluation {
  readonly step: number
  readonly loss: number
  /** By the parameters' names. */
  readonly values: ReadonlyMap<string, Float32Array>
}

/**
 * All that a training is made of after some step. Draws need no state of their own: each follows from the seed and from
 * what it is for.
 */
export interface TrainingState {
  readonly step: number
  /** How many examples were taken. */
  readonly position: number
  readonly seed: number
  /** By the parameters' names. */
  readonly values: ReadonlyMap<string, Float32Array>
  readonly optimizer: OptimizerState
  readonly best?: BestEvaluation | undefined
}

/** What must be the same when a training goes on, by the names that its user knows. */
export type TrainingSettings = Readonly<Record<string, unknown>>

const FILE = 'checkpoint.json'
const TENSORS = /^checkpoint-\d+\.safetensors$/

/**
 * Writes the state into a folder. The tensors come first, under a name of their own; the file that names them replaces
 * the last one at once: whenever a process is killed, the folder holds one whole state. Throws `TUNE_DISK`; the last
 * state is whole then as well.
 */
export function saveCheckpoint(folder: string, state: TrainingState, settings: TrainingSettings): Promise<void> {
  return onDisk(folder, () => writeState(folder, state, settings))
}

async function writeState(folder: string, state: TrainingState, settings: TrainingSettings): Promise<void> {
  const { step, position, seed, values, optimizer, best } = state
  const name = `checkpoint-${step}.safetensors`
  const tensors = new Map<string, Tensor>()
  for (const [kind, arrays] of [
    ['values', values],
    ['optimizer', optimizer.slots],
    ['best', best?.values ?? new Map<string, Float32Array>()],
  ] as const)
    for (const [key, array] of arrays) tensors.set(`${kind}/${key}`, fromFloat32(array, [array.length]))
  await writeSafetensors(join(folder, name), tensors)
  const json = {
    step,
    position,
    seed,
    optimizer_step: optimizer.step,
    best: best && { step: best.step, loss: best.loss },
    tensors: name,
    settings,
  }
  await writeByRename(join(folder, FILE), `${JSON.stringify(json, undefined, 2)}\n`)
  for (const other of await readdir(folder))
    if (TENSORS.test(other) && other !== name) await rm(join(folder, other), { force: true })
}

/**
 * The state in a folder; undefined where there is none. Throws `TUNE_CHECKPOINT` where it was made with other settings,
 * naming the first that differs, and `CHECKPOINT_...` for a damaged one.
 */
export async function loadCheckpoint(folder: string, settings: TrainingSettings): Promise<TrainingState | undefined> {
  const file = join(folder, FILE)
  if (!(await isFile(file))) return undefined
  const json = await readJsonObject(file)
  checkSettings(folder, json['settings'], settings)
  const fields = new Fields(json, file)
  const name = fields.text('tensors')
  if (!TENSORS.test(name)) throw broken(file, 'tensors', name)
  const tensors = await readTensors(join(folder, name))
  const arrays = (kind: string): Map<string, Float32Array> =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(`${kind}/`))
        .map(([name, tensor]) => [name.slice(kind.length + 1), asFloat32(tensor)]),
    )
  const best = json['best']
  return {
    step: countOf(json, 'step', file),
    position: countOf(json, 'position', file),
    seed: countOf(json, 'seed', file),
    values: arrays('values'),
    optimizer: { step: countOf(json, 'optimizer_step', file), slots: arrays('optimizer') },
    ...(isJsonObject(best) && {
      best: { step: countOf(best, 'step', file), loss: Number(best['loss']), values: arrays('best') },
    }),
  }
}

function countOf(json: JsonObject, field: string, file: string): number {
  const value = json[field]
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value)
  throw broken(file, field, value)
}

function broken(file: string, field: string, value: unknown): PetalsError {
  return new PetalsError(
    'TUNE_CHECKPOINT',
    `${file}: ${field} is ${JSON.stringify(value)}: remove the folder to begin anew`,
  )
}

function checkSettings(folder: string, found: unknown, wanted: TrainingSettings): void {
  const before = isJsonObject(found) ? found : {}
  const now = JSON.parse(JSON.stringify(wanted)) as JsonObject
  for (const name of new Set([...Object.keys(now), ...Object.keys(before)])) {
    const [a, b] = [before[name], now[name]].map((value) => JSON.stringify(value) ?? 'none')
    if (a === b) continue
    throw new PetalsError(
      'TUNE_CHECKPOINT',
      `${folder} holds a training with ${name} ${a}, and ${b} was asked for: give the same, or another folder`,
    )
  }
}
