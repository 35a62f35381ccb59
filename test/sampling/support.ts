import { Candidates } from '../../src/sampling/candidates.ts'
import type { ResolvedOptions } from '../../src/sampling/options/options.ts'
import { createProcessors } from '../../src/sampling/processors.ts'
import { type Warper, createWarping, warp } from '../../src/sampling/warpers.ts'
import { Workspace } from '../../src/sampling/workspace.ts'

/** What is left of a vocabulary, -Infinity for what is not. */
export function scattered({ ids, logits, count }: Candidates, vocabSize: number): Float32Array {
  const all = new Float32Array(vocabSize).fill(-Infinity)
  for (let i = 0; i < count; i++) all[ids[i]!] = logits[i]!
  return all
}

/** What a warper makes of logits, -Infinity for what it takes out. */
export function warped(warper: Warper, logits: ArrayLike<number>): Float32Array {
  const candidates = new Candidates()
  candidates.fill(Float32Array.from(logits))
  warper(candidates)
  return scattered(candidates, logits.length)
}

/** What options make of the logits of the token after `ids`, all in all. */
export function processedLogits(
  options: ResolvedOptions,
  { promptLength, minTokensToKeep }: { promptLength: number; minTokensToKeep: number },
  logits: Float32Array,
  ids: readonly number[],
): Float32Array {
  const workspace = new Workspace()
  const scores = logits.slice()
  for (const process of createProcessors(options, promptLength, workspace)) process(scores, ids)
  warp(workspace.candidates, scores, createWarping(options, minTokensToKeep))
  return scattered(workspace.candidates, logits.length)
}
