import { ropeInputs } from '../../families/graphs/input-names.ts'
import { HIDDEN_GRADIENT, OUTPUT_GRADIENT, gradientName } from '../../graph/gradient-names.ts'
import type { AxisSizes } from '../../graph/dim-size.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { TensorScope } from '../../runtime/tensor-scope.ts'
import { bindStacks } from '../adapters/adapter-batch.ts'
import type { BackwardPass } from '../schedule/work.ts'
import { ActivationMemory } from './activation-memory.ts'
import type { BackwardInput, TaskInput } from './batch-runner.ts'
import { addTo, type StepPrompts } from './deep-prompts.ts'
import { ForwardRun, type PassRopes } from './forward-run.ts'
import { type GradientPlaces, placeGradients } from './gradient-places.ts'
import type { RunnerSpan } from './runner-span.ts'
import type { Runner } from './runner.ts'
import type { TrainingRunner } from './training-runner.ts'

/** What a backward pass is computed with. */
export interface BackwardModules {
  readonly runner: Runner
  readonly training: TrainingRunner
  readonly span: RunnerSpan
  readonly ropes: PassRopes
}

/** Sequences `row` to `row + rows`. */
interface Piece {
  readonly row: number
  readonly rows: number
}

/** A block between its forward and its backward runs. */
interface HeldBlock {
  /** [sequences, tokens, hidden], prompts included. */
  readonly input: Uint8Array
  /** What the forward run of each piece keeps; of a chunk's last block there was none. */
  readonly saved: readonly Uint8Array[]
}

/**
 * A backward pass, piece by piece: one run of some sequences through one block, or a few milliseconds of reading
 * weights. Chunks of blocks, the last ones first, are computed forward, what their backward runs need being kept, and
 * then backward, block by block; but through a chunk's last block each piece goes forward and backward in one run.
 * Where there is more than one chunk, the span's own sessions give the inputs of all but the first. Nothing of it lies
 * in the cache; all of its memory goes with it.
 */
export class BackwardRun {
  readonly #modules: BackwardModules
  readonly #pass: BackwardPass
  readonly #input: TaskInput
  readonly #backward: BackwardInput
  readonly #maxTokens: number
  readonly #memory = new ActivationMemory()
  readonly #pieces: readonly Piece[]
  readonly #places: GradientPlaces
  /** All gradients one after the other; that of hidden states is the one of the blocks so far. */
  readonly #output: Float32Array<ArrayBuffer>
  readonly #work: Generator<void, void>
  #isFinished = false
  #tokens = 0

  /** `maxTokens`: of one piece of the forward pass to the chunks. */
  constructor(
    modules: BackwardModules,
    { pass, input, maxTokens }: { pass: BackwardPass; input: TaskInput; maxTokens: number },
  ) {
    this.#modules = modules
    this.#pass = pass
    this.#input = input
    this.#backward = input.backward!
    this.#maxTokens = maxTokens
    const { pieceRows } = this.#backward
    this.#pieces = Array.from({ length: Math.ceil(pass.sequences / pieceRows) }, (_, i) => ({
      row: i * pieceRows,
      rows: Math.min(pieceRows, pass.sequences - i * pieceRows),
    }))
    this.#places = placeGradients(modules.span.adapters?.slice(pass.start, pass.end) ?? [], input)
    this.#output = new Float32Array(this.#places.length)
    this.#gradient.set(this.#backward.gradient)
    this.#work = this.#allChunks()
    // Up to where the first piece begins.
    this.#work.next()
  }

  get isFinished(): boolean {
    return this.#isFinished
  }

  /** As `placeGradients` says, once it is finished. */
  get output(): Uint8Array {
    return new Uint8Array(this.#output.buffer)
  }

  /**
   * Computes the next piece; returns its tokens, as a share of what they take in all blocks in one direction. Throws
   * where the device or reading fails; the pass is over then.
   */
  step(): number {
    this.#tokens = 0
    this.#isFinished = this.#work.next().done === true
    return this.#tokens
  }

  release(): void {
    // What it is in the middle of has things of its own to give back.
    this.#work.return()
    this.#modules.ropes.release()
    this.#memory.release()
  }

  get #gradient(): Uint8Array {
    return new Uint8Array(this.#output.buffer, 4 * this.#places.hidden)
  }

  /** Here and below: `yield` stands before each piece. */
  *#allChunks(): Generator<void, void> {
    const { start, end } = this.#pass
    const { chunkBlocks } = this.#backward
    const chunks = Array.from({ length: Math.ceil((end - start) / chunkBlocks) }, (_, i) => start + i * chunkBlocks)
    const inputs = [this.#input.hidden]
    for (let i = 1; i < chunks.length; i++)
      inputs.push(yield* this.#forward(inputs[i - 1]!, chunks[i - 1]!, chunks[i]!))
    for (let i = chunks.length - 1; i >= 0; i--) yield* this.#chunk(chunks[i]!, chunks[i + 1] ?? end, inputs[i]!)
  }

  /** The output of some blocks, as a forward pass gives it. */
  *#forward(hidden: Uint8Array, start: number, end: number): Generator<void, Uint8Array> {
    const { runner, span, ropes } = this.#modules
    const { adapter } = this.#input
    const output = this.#memory.take(hidden.byteLength)
    output.set(hidden)
    const pass = { ...this.#pass, kind: 'forward', start, end } as const
    const input = { hidden: output, adapter, prompts: this.#promptsOf(start, end) }
    const run = new ForwardRun(runner, span, {
      pass,
      input,
      // They are the backward pass's.
      ropes: { ...ropes, release: () => undefined },
      maxTokens: this.#maxTokens,
    })
    try {
      while (!run.isFinished) {
        yield
        this.#tokens += (run.step() * (end - start)) / this.#numBlocks
      }
    } finally {
      run.release()
    }
    return output
  }

  *#chunk(start: number, end: number, input: Uint8Array): Generator<void, void> {
    const held: HeldBlock[] = []
    for (let block = start, hidden = input; block < end; block++) {
      this.#addPrompts(block, hidden)
      const saved: Uint8Array[] = []
      held.push({ input: hidden, saved })
      if (block === end - 1) break
      const output = this.#memory.take(hidden.byteLength)
      using scope = this.#modules.training.newScope()
      const weights = yield* this.#bindBlock(block, scope)
      for (const piece of this.#pieces) {
        yield
        saved.push(this.#runForward(block, piece, weights, hidden, output))
      }
      hidden = output
    }
    for (let block = end - 1; block >= start; block--) {
      const { input: hidden, saved } = held.pop()!
      using scope = this.#modules.training.newScope()
      const weights = yield* this.#bindBlock(block, scope)
      for (const [i, piece] of this.#pieces.entries()) {
        yield
        this.#runBackward(block, piece, weights, hidden, saved[i])
        if (saved[i] !== undefined) this.#memory.give(saved[i])
      }
      this.#memory.give(hidden)
    }
  }

  /** Weights, rotary tables and the adapter's matrices: what all runs of a block share. */
  *#bindBlock(block: number, scope: TensorScope): Generator<void, Map<string, Pointer>> {
    const { training, ropes, span } = this.#modules
    const { tokens } = this.#pass
    const values = new Map(yield* training.weights(block, scope))
    for (const [i, { cos, sin }] of ropes.get(tokens).ropes.entries()) {
      const names = ropeInputs(i)
      for (const [name, { dtype, shape, data }] of [
        [names.cos, cos],
        [names.sin, sin],
      ] as const)
        values.set(name, scope.wrap(training.memory, dtype, [tokens, shape[1]!], data))
    }
    if (this.#input.adapter !== undefined) {
      const binding = { scope, host: training.memory, memory: training.memory, dtype: span.dtype }
      const matrices = bindStacks(binding, span.adapters![block]!, this.#input.adapter)
      for (const [name, value] of matrices) values.set(name, value)
    }
    return values
  }

  /** Returns what the backward run needs. `output`: [sequences, tokens, hidden]. */
  #runForward(
    block: number,
    piece: Piece,
    shared: ReadonlyMap<string, Pointer>,
    input: Uint8Array,
    output: Uint8Array,
  ): Uint8Array {
    const { training } = this.#modules
    const kind = training.kindOf(block, this.#input.adapter !== undefined)
    const saved = this.#memory.take(training.savedBytes(kind, this.#sizesOf(this.#backward.pieceRows)))
    using scope = training.newScope()
    const outputs = new Map(training.saved(kind, this.#sizesOf(piece.rows), saved, scope))
    outputs.set('output', this.#wrap(scope, output, piece))
    training.run(kind.forward, new Map([...shared, ['hidden', this.#wrap(scope, input, piece)]]), outputs)
    this.#computed(piece)
    return saved
  }

  /** `saved`: of the forward run; without it, this run computes the block forward as well. */
  #runBackward(
    block: number,
    piece: Piece,
    shared: ReadonlyMap<string, Pointer>,
    input: Uint8Array,
    saved: Uint8Array | undefined,
  ): void {
    const { training } = this.#modules
    const kind = training.kindOf(block, this.#input.adapter !== undefined)
    using scope = training.newScope()
    const kept = saved === undefined ? [] : training.saved(kind, this.#sizesOf(piece.rows), saved, scope)
    const values = new Map([...shared, ...kept])
    values.set('hidden', this.#wrap(scope, input, piece))
    values.set(OUTPUT_GRADIENT, this.#wrap(scope, this.#gradient, piece))
    const scratch = this.#scratch(input)
    const outputs = new Map([[HIDDEN_GRADIENT, this.#wrap(scope, scratch, firstOf(piece))]])
    const matrices = this.#matrixOutputs(block, outputs, scope)
    training.run(saved === undefined ? kind.both : kind.backward, values, outputs)
    const gradient = this.#slice(this.#gradient, piece)
    gradient.set(scratch.subarray(0, gradient.byteLength))
    for (const { place, values: found } of matrices) addAt(this.#output, place, found)
    this.#sumPrompts(block, gradient, piece)
    this.#memory.give(scratch)
    // Twice the work.
    if (saved === undefined) this.#computed(piece)
    this.#computed(piece)
  }

  /** Where the gradients of the adapter's matrices go, which are then added up over all pieces. */
  #matrixOutputs(
    block: number,
    outputs: Map<string, Pointer>,
    scope: TensorScope,
  ): { readonly place: number; readonly values: Float32Array }[] {
    const { memory } = this.#modules.training
    return this.#places.matrices
      .filter((matrix) => matrix.block === block - this.#pass.start)
      .map(({ input, shape, place }) => {
        // Of modules of lower rank than the adapter's there are zeros behind.
        const [rank, width] = shape
        const ofStack = [this.#ranks, width] as const
        const values = new Float32Array(this.#ranks * width)
        outputs.set(gradientName(input), scope.wrap(memory, 'float32', ofStack, values))
        return { place, values: values.subarray(0, rank * width) }
      })
  }

  #addPrompts(block: number, hidden: Uint8Array): void {
    const { prompts } = this.#input
    if (prompts === undefined) return
    const added = prompts.blocks[block - this.#pass.start]!
    for (let row = 0; row < this.#pass.sequences; row++)
      addTo(this.#slice(hidden, { row, rows: 1 }), added, this.#modules.span.dtype)
  }

  /** A block's prompts are added to its input at the first positions of each sequence: so are its gradients. */
  #sumPrompts(block: number, gradient: Uint8Array, { rows }: Piece): void {
    const { prompts } = this.#input
    if (prompts === undefined) return
    const elements = prompts.blocks[0]!.byteLength / Float32Array.BYTES_PER_ELEMENT
    const place = (block - this.#pass.start) * elements
    const rowBytes = gradient.byteLength / rows
    for (let row = 0; row < rows; row++)
      addAt(this.#output, place, new Float32Array(gradient.buffer, gradient.byteOffset + row * rowBytes, elements))
  }

  #promptsOf(start: number, end: number): StepPrompts | undefined {
    const { prompts } = this.#input
    const { start: first } = this.#pass
    return prompts && { ...prompts, blocks: prompts.blocks.slice(start - first, end - first) }
  }

  #wrap(scope: TensorScope, hidden: Uint8Array, piece: Piece): Pointer {
    const shape = [piece.rows, this.#pass.tokens, this.#modules.span.hiddenSize]
    return scope.wrap(this.#modules.training.memory, 'float32', shape, this.#slice(hidden, piece))
  }

  /** Of hidden states of all sequences, those of a piece. */
  #slice(hidden: Uint8Array, { row, rows }: Piece): Uint8Array {
    const rowBytes = this.#input.hidden.byteLength / this.#pass.sequences
    return hidden.subarray(row * rowBytes, (row + rows) * rowBytes)
  }

  /** Hidden states of one piece, at most. */
  #scratch(hidden: Uint8Array): Uint8Array {
    return this.#memory.take((hidden.byteLength / this.#pass.sequences) * this.#backward.pieceRows)
  }

  #sizesOf(rows: number): AxisSizes {
    return { rows, tokens: this.#pass.tokens, ranks: this.#ranks }
  }

  get #ranks(): number {
    return this.#input.adapter?.ranks ?? 0
  }

  get #numBlocks(): number {
    return this.#pass.end - this.#pass.start
  }

  #computed({ rows }: Piece): void {
    this.#tokens += (rows * this.#pass.tokens) / this.#numBlocks
  }
}

/** A piece's place in memory that has room for one piece only. */
function firstOf({ rows }: Piece): Piece {
  return { row: 0, rows }
}

function addAt(target: Float32Array, place: number, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) target[place + i]! += values[i]!
}
