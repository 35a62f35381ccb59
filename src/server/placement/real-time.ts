import { pause } from '../../swarm/deadline.ts'
import type { Clock } from './balancer.ts'

const NEVER = new AbortController().signal

/** The time of this machine. */
export const realTime: Clock = { pause: (ms, signal = NEVER) => pause(ms, signal) }
