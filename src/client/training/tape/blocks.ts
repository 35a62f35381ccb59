import { type Tensor, asFloat32, fromFloat32 } from '../../../tensor/tensor.ts'
import type { Tape, Variable } from './tape.ts'

/** The gradients that a pass gives back. */
export interface BlockGradients {
  /** With respect to its input, [batch, tokens, hidden]. */
  readonly hidden: Tensor
  /** With respect to deep prompts, [blocks, positions, hidden], if there were any. */
  readonly prompts?: Tensor | undefined
  /** With respect to the matrices of the client's own adapter, by module. */
  readonly adapter?: ReadonlyMap<string, { readonly a: Tensor; readonly b: Tensor }> | undefined
}

/** A pass through blocks that were computed somewhere, and that can be walked back once. */
export interface BlocksPass extends Disposable {
  readonly output: Tensor
  backward(gradient: Tensor): Promise<BlockGradients>
}

/** Computes blocks: `hidden` float32 [batch, tokens, hidden], `prompts` float32 [blocks, positions, hidden]. */
export interface Blocks {
  /** The output only. Throws the signal's reason. */
  forward(hidden: Tensor, prompts: Tensor | undefined, signal?: AbortSignal): Promise<Tensor>
  /** The output, and the way back. */
  pass(hidden: Tensor, prompts: Tensor | undefined): Promise<BlocksPass>
}

/** A module of a LoRA adapter on the tape. */
export interface LoraVariables {
  /** The linear layer's name in the whole model. */
  readonly name: string
  readonly a: Variable
  readonly b: Variable
}

/** What of the blocks is trained, and what ends a pass whose way back is not asked for. */
export interface TrainedInBlocks {
  /** Deep prompts [blocks, positions, hidden]. */
  readonly prompts?: Variable | undefined
  readonly adapter?: readonly LoraVariables[] | undefined
  readonly signal?: AbortSignal | undefined
}

/** The blocks of the model: [batch, tokens, hidden] -> the same. Where nothing is trained no way back is asked for. */
export async function throughBlocks(
  tape: Tape,
  blocks: Blocks,
  hidden: Variable,
  { prompts, adapter = [], signal }: TrainedInBlocks = {},
): Promise<Variable> {
  const inputs = [hidden, ...(prompts === undefined ? [] : [prompts]), ...adapter.flatMap(({ a, b }) => [a, b])]
  const given = [tensorOf(hidden), prompts && tensorOf(prompts)] as const
  if (!inputs.some(({ isTrained }) => isTrained))
    return tape.constant(hidden.shape, asFloat32(await blocks.forward(...given, signal)))
  const pass = await blocks.pass(...given)
  tape.hold(pass)
  return tape.record(inputs, hidden.shape, asFloat32(pass.output), async (gradient) => {
    const found = await pass.backward(fromFloat32(gradient, hidden.shape))
    return [
      asFloat32(found.hidden),
      ...(prompts === undefined ? [] : [found.prompts && asFloat32(found.prompts)]),
      ...adapter.flatMap(({ name }) => {
        const module = found.adapter?.get(name)
        return [module && asFloat32(module.a), module && asFloat32(module.b)]
      }),
    ]
  })
}

function tensorOf({ values, shape }: Variable): Tensor {
  return fromFloat32(values, shape)
}
