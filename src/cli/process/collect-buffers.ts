import { setFlagsFromString } from 'node:v8'

/** The version of V8 that has the option; others print a complaint about it. Node 24 has this one. */
const V8_MAJOR = '13'

/**
 * Makes V8 collect the buffers of network messages together with its heap. By itself it goes through the whole heap, on
 * all cores, for each 64 MB of new buffers, however few bytes the heap has grown by: a fifth of the processor time of a
 * training step's passes. With this option buffers count as the heap does, which may grow by a share of its size.
 */
export function collectBuffersWithHeap(): void {
  if (process.versions.v8.split('.')[0] === V8_MAJOR) setFlagsFromString('--external-memory-accounted-in-global-limit')
}
