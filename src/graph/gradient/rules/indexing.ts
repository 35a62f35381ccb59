import { add, gather, mul, splitLast } from '../../ops.ts'
import { reduceAxes } from '../../reduce-ops.ts'
import { type Picks, picksOf } from '../../row-ops.ts'
import { scatterAdd } from '../../scatter-ops.ts'
import { type Attribute, int, type Value, type ValueType } from '../../value.ts'
import {
  axisOf,
  gradientOf,
  inputOf,
  intAttribute,
  type NodeGradient,
  type Rules,
  stringAttribute,
  uncovered,
  whole,
} from '../rule.ts'

/** Operators that take or replace elements at places that are computed at run time. */
export const INDEXING: Rules = {
  '/Gather': whole((at) => [ofGather(at)]),
  '/GatherND': whole((at) => [ofGatherND(at)]),
  '/GatherElements': whole((at) => {
    const x = inputOf(at)
    const axis = axisOf(intAttribute(at.node, 'axis', 0), x.shape.length)
    return [scatterAdd(at.g, at.sizes.zeros(x, 'zeros'), inputOf(at, 1), gradientOf(at), axis, 'scattered')]
  }),
  '/ScatterElements': whole((at) => {
    const [data, indices, updates] = [inputOf(at, 0), inputOf(at, 1), inputOf(at, 2)]
    const axis = axisOf(intAttribute(at.node, 'axis', 0), data.shape.length)
    const attributes = { axis: int(axis) }
    const taken = () => node(at, 'GatherElements', 'of_updates', [gradientOf(at), indices], updates, attributes)
    const kept = () =>
      node(
        at,
        'ScatterElements',
        'of_data',
        [gradientOf(at), indices, at.sizes.zeros(updates, 'zeros')],
        data,
        attributes,
      )
    return ofScatter(at, kept, taken)
  }),
  '/ScatterND': whole((at) => {
    const [data, indices, updates] = [inputOf(at, 0), inputOf(at, 1), inputOf(at, 2)]
    const taken = () => node(at, 'GatherND', 'of_updates', [gradientOf(at), indices], updates, {})
    const kept = () =>
      node(at, 'ScatterND', 'of_data', [gradientOf(at), indices, at.sizes.zeros(updates, 'zeros')], data, {})
    return ofScatter(at, kept, taken)
  }),
  '/TopK': whole((at) => {
    const x = inputOf(at)
    const axis = axisOf(intAttribute(at.node, 'axis', -1), x.shape.length)
    // No place is taken twice.
    const inputs = [at.sizes.zeros(x, 'zeros'), at.node.outputs[1]!, gradientOf(at)]
    return [node(at, 'ScatterElements', 'scattered', inputs, x, { axis: int(axis) })]
  }),
}

/** Rows of a table were taken: the gradient's rows are added up where they came from. */
function ofGather(at: NodeGradient): Value {
  const [table, ids] = [inputOf(at, 0), inputOf(at, 1)]
  if (axisOf(intAttribute(at.node, 'axis', 0), table.shape.length) !== 0)
    throw uncovered(at, 'has a gradient only along axis 0')
  const picks = picksOf(ids)
  if (picks !== undefined) return ofPicks(at, table, picks)
  return addRows(at, at.sizes.zeros(table, 'zeros'), ids, gradientOf(at))
}

/** Each row was taken equally often, and it is known where: the gradient's rows are taken back, none is scattered. */
function ofPicks(at: NodeGradient, table: Value, { back, times }: Picks): Value {
  const taken = gather(at.g, gradientOf(at), back, 'taken_back')
  if (times === 1) return at.sizes.reshape(taken, table.shape, 'as_before')
  const [rows = 1, ...row] = table.shape
  const ofRows = at.sizes.reshape(taken, [rows, times, ...row], 'of_rows')
  return reduceAxes(at.g, 'ReduceSum', ofRows, [1], { keep: false }, 'sum_of_rows')
}

/** As `ofGather`, where a row's place is given along several axes of the table, as the last axis of the indices. */
function ofGatherND(at: NodeGradient): Value {
  const { g, sizes } = at
  const [table, indices] = [inputOf(at, 0), inputOf(at, 1)]
  const depth = indices.shape.at(-1)
  if (intAttribute(at.node, 'batch_dims', 0) !== 0 || typeof depth !== 'number')
    throw uncovered(at, 'has a gradient only without batch_dims, and for indices whose last axis has a fixed size')
  const parts = splitLast(g, indices, Array<number>(depth).fill(1), 'parts')
  const own = parts.map((part, axis) => {
    const size = sizes.vector([table.shape[axis]!])
    return { size, place: node(at, 'Mod', 'place', [add(g, part, size, 'positive'), size], part, {}) }
  })
  const place = own.slice(1).reduce((sum, { size, place: next }) => {
    return add(g, mul(g, sum, size, 'outer'), next, 'place')
  }, own[0]!.place)
  const zeros = sizes.mergeFirst(sizes.zeros(table, 'zeros'), depth, 'rows_of_zeros')
  return sizes.reshape(addRows(at, zeros, place, gradientOf(at)), table.shape, 'as_before')
}

/**
 * table [n, ...row] plus rows [...ids, ...row], each at its place. The runtime's ScatterND adds with several threads
 * and without a lock, so that of rows with one place some can get lost: only ScatterElements, which takes a place for
 * each element, adds them all.
 */
function addRows(at: NodeGradient, table: Value, ids: Value, rows: Value): Value {
  const { g, sizes } = at
  const row = table.shape.slice(1)
  const flat = sizes.mergeFirst(rows, rows.shape.length - row.length, 'flat')
  const column = sizes.mergeFirst(ids, ids.shape.length, 'flat_places')
  const shape = [column.shape[0]!, ...row.map(() => 1)]
  const spread = sizes.expand(sizes.reshape(column, shape, 'column'), flat.shape, 'places')
  return scatterAdd(g, table, spread, flat, 0, 'added_rows')
}

/** The rows of data that are not replaced, if these are wanted, and those that replace. */
function ofScatter(at: NodeGradient, kept: () => Value, taken: () => Value): (Value | undefined)[] {
  const reduction = stringAttribute(at.node, 'reduction', 'none')
  if (reduction !== 'none' && reduction !== 'add') throw uncovered(at, `with reduction ${reduction} has no gradient`)
  const ofData = reduction === 'add' ? gradientOf(at) : at.wants(0) ? kept() : undefined
  return [ofData, undefined, at.wants(2) ? taken() : undefined]
}

function node(
  at: NodeGradient,
  op: string,
  name: string,
  inputs: readonly Value[],
  output: ValueType,
  attributes: Record<string, Attribute>,
): Value {
  return at.g.node({ op, name, inputs, outputs: [output], attributes })[0]!
}
