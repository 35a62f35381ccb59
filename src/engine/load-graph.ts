import { readTensor } from '../checkpoint/read.ts'
import type { TensorSlice } from '../checkpoint/safetensors.ts'
import type { Graph } from '../graph/builder.ts'
import { encodeModel } from '../graph/encode.ts'
import type { Parameter } from '../graph/value.ts'
import type { Device } from '../runtime/device.ts'
import type { Environment } from '../runtime/environment.ts'
import { type Session, createSession } from '../runtime/session.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Reads a graph's parameters, converts them to its dtype and builds its session. Synchronous: for loading threads. */
export function loadGraph(env: Environment, device: Device, graph: Graph, sliceOf: (parameter: Parameter) => TensorSlice): Session {
  const inline = new Map<string, Tensor>()
  const initializers = []
  for (const parameter of graph.parameters) {
    const tensor = readTensor(sliceOf(parameter), parameter.dtype as FloatDType)
    if (parameter.placement === 'inline') inline.set(parameter.name, tensor)
    else initializers.push({ name: parameter.name, tensor, packed: parameter.packed && device.kind === 'cpu' })
  }
  const session = createSession(env, device, encodeModel(graph, inline), initializers)
  for (const { tensor, packed } of initializers) {
    // Gives the memory back now; the collector would let several blocks pile up.
    if (packed) (tensor.data.buffer as ArrayBuffer).transfer(0)
  }
  return session
}
