import { type AxisSizes, sizedShape } from '../../graph/dim-size.ts'
import type { Environment } from '../../runtime/environment.ts'
import { memoryInfo } from '../../runtime/values.ts'
import { CPU } from '../../runtime/device.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type Bound, runBound } from '../../runtime/run.ts'
import { TensorScope } from '../../runtime/tensor-scope.ts'
import { byteLength } from '../../tensor/tensor.ts'
import type { PreparedTraining, TrainingKind, TrainingSession } from '../loading/prepare-training.ts'
import { type BlockWeights, TrainingWeights } from '../loading/training-weights.ts'

/** Tensors begin at multiples of this. */
const ALIGNMENT = 64

/** Where a saved value lies within the memory of a run. */
interface SavedPlace {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: TrainingKind['saved'][number]['dtype']
  readonly offset: number
  readonly bytes: number
}

/** Values by the names that inputs have. */
export type Values = ReadonlyMap<string, Pointer>

/** Runs a span's training sessions, with weights that are lent to each run. Synchronous. */
export class TrainingRunner {
  readonly memory: Pointer
  readonly #env: Environment
  /** With and without an adapter's matrices. */
  readonly #prepared = new Map<boolean, PreparedTraining>()
  readonly #weights: TrainingWeights
  readonly #runOptions: Pointer

  constructor(env: Environment, prepared: PreparedTraining, pinnedBytes: number) {
    this.#env = env
    this.add(prepared)
    this.#weights = new TrainingWeights({ ...prepared, pinnedBytes })
    this.memory = memoryInfo(env.ort, CPU)
    this.#runOptions = env.ort.create('CreateRunOptions')
  }

  /** Sessions for passes with an adapter, or for those without. */
  add(prepared: PreparedTraining): void {
    this.#prepared.set(prepared.adapters, prepared)
  }

  /** Of a block of the span. */
  kindOf(block: number, adapters: boolean): TrainingKind {
    const { kinds, kindOf } = this.#prepared.get(adapters)!
    return kinds[kindOf[block]!]!
  }

  newScope(): TensorScope {
    return new TensorScope(this.#env.ort)
  }

  /** Reads the weights of a block of the span, in pieces. Throws as `TrainingWeights.read`. */
  *weights(block: number, scope: TensorScope): Generator<void, Bound[]> {
    const weights: BlockWeights = yield* this.#weights.read(block)
    return [...weights].map(([name, { dtype, shape, data }]) => [name, scope.wrap(this.memory, dtype, shape, data)])
  }

  /** The bytes that a run of so many rows keeps of a kind of blocks. */
  savedBytes(kind: TrainingKind, sizes: AxisSizes): number {
    return placesOf(kind, sizes).reduce((end, { offset, bytes }) => Math.max(end, offset + bytes), 0)
  }

  /** What a forward run gives to its backward run, in memory of at least `savedBytes`. */
  saved(kind: TrainingKind, sizes: AxisSizes, data: Uint8Array, scope: TensorScope): Bound[] {
    return placesOf(kind, sizes).map(({ name, dtype, shape, offset, bytes }) => [
      name,
      scope.wrap(this.memory, dtype, shape, data.subarray(offset, offset + bytes)),
    ])
  }

  /** Runs a session on those of the values that it takes. Throws where the device fails. */
  run({ pointer, inputs, outputs }: TrainingSession, values: Values, wanted: Values): void {
    const bound = (names: readonly string[], from: Values) =>
      names.flatMap((name): Bound[] => (from.has(name) ? [[name, from.get(name)!]] : []))
    runBound(this.#env.ort, pointer, this.#runOptions, bound(inputs, values), bound(outputs, wanted))
  }

  close(): void {
    this.#weights.release()
    this.#env.ort.release('ReleaseRunOptions', this.#runOptions)
    this.#env.ort.release('ReleaseMemoryInfo', this.memory)
  }
}

function placesOf({ saved }: TrainingKind, sizes: AxisSizes): SavedPlace[] {
  let offset = 0
  return saved.map(({ name, dtype, shape: axes }) => {
    const shape = sizedShape(axes, sizes)
    const bytes = byteLength(dtype, shape)
    const place = { name, dtype, shape, offset, bytes }
    offset += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
    return place
  })
}
