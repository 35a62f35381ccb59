import type { Graph } from '../../graph/builder.ts'
import { encodeModel } from '../../graph/encode.ts'
import type { Device } from '../../runtime/device.ts'
import type { Environment } from '../../runtime/environment.ts'
import { type Session, createSession } from '../../runtime/session.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { ParameterReader, type ParameterSources } from './parameter-reader.ts'

/**
 * Reads a graph's parameters, converts them to its dtype and builds its session. Synchronous: for loading threads. What
 * the session copies is read through the sources' memory, which the next graph may use again and the caller releases in
 * the end.
 */
export function loadGraph(env: Environment, device: Device, graph: Graph, sources: ParameterSources): Session {
  const reader = new ParameterReader(sources)
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
  for (const { tensor, prepacked } of initializers) if (prepacked) sources.memory.give(tensor.data)
  return session
}
