import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { buildHeadGraph } from './graphs.ts'
import { familyOf } from '../models/index.ts'

/** A parameter of the head: its name in graphs (one tied to the embedding has the embedding's), and its shape. */
export interface HeadParameter {
  readonly name: string
  readonly shape: readonly number[]
}

/** The head's own parameters: a matrix [vocab, hidden], and in some families a bias [vocab]. */
export interface HeadParameters {
  readonly weight: HeadParameter
  readonly bias?: HeadParameter | undefined
}

/** What a model's head is made of. Throws `FamilyError`. */
export function headParameters(config: ModelConfig): HeadParameters {
  const { parameters } = buildHeadGraph(config, { device: 'cpu', dtype: 'float32' })
  const name = familyOf(config).names(config).head
  const find = (wanted: string): HeadParameter | undefined => {
    const found = parameters.find((parameter) => parameter.name === wanted)
    return found && { name: found.name, shape: found.shape as readonly number[] }
  }
  const bias = find(name.replace(/weight$/, 'bias'))
  return { weight: find(name)!, ...(bias !== undefined && { bias }) }
}
