import { Graph } from '../../graph/builder.ts'
import { groupQueryAttention } from '../../graph/group-query-attention.ts'
import { gatherAxis } from '../../graph/row-ops.ts'
import type { FloatDType } from '../../tensor/dtype.ts'

/** What attention's heads are like, and what it computes in. */
export interface AttentionKind {
  readonly numHeads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly dtype: FloatDType
}

/** How an operator attends. */
export interface AttentionForm {
  /** How many positions a token attends to; undefined: to all before it. */
  readonly window: number | undefined
  /** Whether something is added to the scores. */
  readonly biased: boolean
  /** Whether each head has a score that takes part in softmax and in nothing else. */
  readonly sinks: boolean
}

/** The forms of the operators in some graphs. */
export function attentionForms(graphs: readonly Pick<Graph, 'nodes'>[]): AttentionForm[] {
  const forms = graphs
    .flatMap(({ nodes }) => nodes)
    .filter(({ op }) => op === 'GroupQueryAttention')
    .map(({ attributes: { local_window_size: window }, inputs }): AttentionForm => ({
      window: window?.type === 'int' ? window.value : undefined,
      biased: inputs[BIAS_INPUT] !== undefined,
      sinks: inputs[SINKS_INPUT] !== undefined,
    }))
  return [...new Map(forms.map((form) => [JSON.stringify(form), form])).values()]
}

/** Where the operator takes what is added to the scores, and the heads' own scores. */
const BIAS_INPUT = 10
const SINKS_INPUT = 11

/**
 * Attention alone, of one row: `query`, `key` and `value` [1, tokens, heads * headDim], `past_key` and `past_value`
 * [1, kvHeads, capacity, headDim], `lengths` and `total` int32 [1], `bias` [1, numHeads, tokens, all] if it is biased,
 * `sinks` [numHeads] if it has some -> `output`, `present_key` and `present_value`.
 */
export function attentionGraph(
  { numHeads, kvHeads, headDim, dtype }: AttentionKind,
  { window, biased, sinks }: AttentionForm,
  scale: number,
): Graph {
  const g = new Graph('attention')
  const input = (name: string, heads: number) => g.input(name, dtype, [1, 'tokens', heads * headDim])
  const cache = (name: string) => g.input(name, dtype, [1, kvHeads, 'capacity', headDim])
  const { output, presentKey, presentValue } = groupQueryAttention(
    g,
    {
      query: input('query', numHeads),
      key: input('key', kvHeads),
      value: input('value', kvHeads),
      pastKey: cache('past_key'),
      pastValue: cache('past_value'),
      seqlensK: g.input('lengths', 'int32', [1]),
      totalSequenceLength: g.input('total', 'int32', [1]),
      bias: biased ? g.input('bias', dtype, [1, numHeads, 'tokens', 'all']) : undefined,
      sinks: sinks ? g.input('sinks', dtype, [numHeads]) : undefined,
    },
    { numHeads, numKvHeads: kvHeads, headDim, scale, window },
    'attention',
  )
  g.output('output', output)
  g.output('present_key', presentKey)
  g.output('present_value', presentValue)
  return g
}

/**
 * Moves one sequence's keys and values to a cache of another capacity: `key` and `value` [kvHeads, from, headDim] ->
 * `moved_key` and `moved_value` [kvHeads, to, headDim], of which each slot is the one that `slots` int32 [to] says.
 */
export function moveGraph({ kvHeads, headDim, dtype }: Omit<AttentionKind, 'numHeads'>): Graph {
  const g = new Graph('move')
  const slots = g.input('slots', 'int32', ['to'])
  for (const name of ['key', 'value'])
    g.output(`moved_${name}`, gatherAxis(g, g.input(name, dtype, [kvHeads, 'from', headDim]), slots, 1, name))
  return g
}
