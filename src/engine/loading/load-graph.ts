import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Graph } from '../../graph/builder.ts'
import { encodeModel } from '../../graph/encode.ts'
import type { Device } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { type Session, createSession } from '../../runtime/session.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { ParameterReader } from './parameter-reader.ts'
import type { QuantCacheFile } from './quant-cache.ts'
import { WeightMemory } from './weight-memory.ts'

/**
 * Reads a graph's parameters, converts them to its dtype and builds its session. Synchronous: for loading threads. What
 * the session copies is read through `memory`, which the next graph may use again and the caller releases in the end.
 * `given`: values of parameters in place of stored ones.
 */
export function loadGraph(
  env: Environment,
  device: Device,
  graph: Graph,
  slices: ReadonlyMap<string, TensorSlice>,
  memory?: WeightMemory,
  cache?: QuantCacheFile,
  given?: ReadonlyMap<string, Tensor>,
): Session {
  const buffers = memory ?? new WeightMemory()
  const reader = new ParameterReader(slices, buffers, cache, given)
  const inline = new Map<string, Tensor>()
  const initializers = []
  for (const parameter of graph.parameters) {
    const prepacked = parameter.placement === 'external' && parameter.prepacked && device.kind === 'cpu'
    const tensor = reader.read(parameter, { lent: prepacked })
    if (parameter.placement === 'inline') inline.set(parameter.name, tensor)
    else initializers.push({ name: parameter.name, tensor, prepacked })
  }
  reader.finish()
  const session = createSession(env, encodeModel(graph, inline), initializers)
  for (const { tensor, prepacked } of initializers) if (prepacked) buffers.give(tensor.data)
  if (memory === undefined) buffers.release()
  return session
}
