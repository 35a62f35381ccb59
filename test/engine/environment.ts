import { createEnvironment } from '../../src/runtime/environment.ts'

/*
 * To be imported by what computes with onnxruntime-node beside engines: a process has one environment, of whoever is
 * first, and engines need theirs.
 */
createEnvironment({ threads: 1, spin: false })
