// Prefix reuse: sessions outlive their requests, so that a prompt that begins as an earlier one, with its answer, has
// only the rest computed. Here: requests. `held-session.ts`: one session, in use or parked; `parked-sessions.ts`: those
// that nobody uses, and their bounds; `find.ts`: the session that a prompt goes on from; `settings.ts`: which sessions
// have something in common, and how long they are; `turns.ts`: forks of a session between its steps.

import { PetalsError, UsageError, isTransient } from '../../base/errors.ts'
import { checkOptions } from '../../sampling/options/check.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import { checkRequest, generate } from '../generation/generate.ts'
import { resolveStreamOptions } from '../generation/resolve.ts'
import { prepareConstraint } from '../model/prepare-constraint.ts'
import type { GenerationChunk, GenerationResult } from '../generation/result.ts'
import type { Prompt } from '../model/distributed-model.ts'
import type { CachedModel } from './cached-model.ts'
import { type Match, findBest } from './find.ts'
import { HeldSession, type RequestWatch } from './held-session.ts'
import { ParkedSessions } from './parked-sessions.ts'
import { type CacheKey, type SessionSettings, cacheKey, sessionLength } from './settings.ts'

/** The bounds of what a prompt cache keeps on servers. */
export interface PromptCacheOptions {
  /** The most tokens of all parked sessions; 65536 by default. */
  readonly maxTokens?: number | undefined
  /** How long a session stays parked that nobody wants, in milliseconds; ten minutes by default. */
  readonly maxAgeMs?: number | undefined
  /** The least length with which sessions are opened, in tokens; 512 by default. */
  readonly sessionTokens?: number | undefined
}

/** A generated text, and how much of its prompt did not have to be computed for it. */
export interface CachedResult extends GenerationResult {
  /** Tokens of the prompt that servers still held from earlier requests. */
  readonly cachedTokens: number
}

/** What a prompt cache has done since it was made, and what it holds now. */
export interface PromptCacheStats {
  /** Requests, and the tokens of their prompts. */
  readonly queries: number
  readonly queryTokens: number
  /** Of these, the tokens that servers still held. */
  readonly hitTokens: number
  readonly parkedSessions: number
  readonly parkedTokens: number
}

const MAX_TOKENS = 65_536
const MAX_AGE_MS = 10 * 60_000
const SESSION_TOKENS = 512

/** What a request's session is opened with, and what is told of it. */
export interface RequestSettings extends SessionSettings {
  /**
   * Requests of another scope share nothing, so that none can find out, by its time, what others have asked; by default
   * all are of one.
   */
  readonly scope?: string | undefined
  readonly watch?: RequestWatch | undefined
}

/** What a request wants of a session. */
interface Wanted {
  readonly ids: readonly number[]
  readonly key: CacheKey
  readonly settings: SessionSettings
  /** How many tokens the session has to hold in the end. */
  readonly needed: number
  readonly signal: AbortSignal | undefined
  readonly watch: RequestWatch | undefined
}

/**
 * Sessions of one model that stay on servers between requests. A request takes the one that holds most of the beginning
 * of its prompt; it gets a copy where the session is in use, is too short, or holds more that may be wanted again.
 *
 * What is parked costs servers a place in their caches that they give to whoever needs it, at once and without asking:
 * the next request then computes its prompt. Close it before the model, or declare it with `await using`.
 */
export class PromptCache implements AsyncDisposable {
  readonly #model: CachedModel
  readonly #sessionTokens: number
  readonly #inUse = new Set<HeldSession>()
  readonly #parked: ParkedSessions
  readonly #counts = { queries: 0, queryTokens: 0, hitTokens: 0 }
  #closed = false

  /** Throws `USAGE` for bounds that are no positive numbers. */
  constructor(model: CachedModel, options: PromptCacheOptions = {}) {
    for (const [name, value] of Object.entries(options))
      if (value !== undefined && !(value > 0)) throw new UsageError(`${name} is ${value}: expected a number above 0`)
    const { maxTokens = MAX_TOKENS, maxAgeMs = MAX_AGE_MS, sessionTokens = SESSION_TOKENS } = options
    this.#model = model
    this.#sessionTokens = sessionTokens
    this.#parked = new ParkedSessions({ maxTokens, maxAgeMs })
  }

  get stats(): PromptCacheStats {
    return { ...this.#counts, parkedSessions: this.#parked.count, parkedTokens: this.#parked.tokens }
  }

  /**
   * Generates one text token by token, as the model's own `stream` does: the same chunks, and the same result with
   * `cachedTokens`. The third argument has settings of `inferenceSession` as well. The signal ends a step under way at
   * once. A text that the caller leaves, or its signal ends, is kept as far as it was computed; one that fails in
   * itself is not. Throws as `stream`.
   */
  async *stream(
    prompt: Prompt,
    options: GenerationOptions = {},
    { watch, scope, ...settings }: RequestSettings = {},
  ): AsyncGenerator<GenerationChunk, CachedResult> {
    if (this.#closed) throw new UsageError('the prompt cache is closed')
    checkOptions(options)
    const { checkpoint, tokenizer } = this.#model
    const ids = await this.#model.encode(prompt)
    const resolved = resolveStreamOptions(options, checkpoint, ids.length)
    await prepareConstraint(this.#model, resolved)
    const text = tokenizer?.tokenStream({ skipSpecialTokens: resolved.skipSpecialTokens ?? true })
    checkRequest(ids, resolved, text)
    const began = performance.now()
    const { signal } = resolved
    const needed = ids.length + resolved.maxNewTokens
    const key = [scope, ...cacheKey(this.#model, settings, needed)]
    const held = await this.#take({ ids, key, settings, needed, signal, watch })
    const waited = (performance.now() - began) / 1000
    let isSound = true
    try {
      const result = yield* generate(held, ids.slice(held.session.position), resolved, text)
      return {
        ...result,
        promptIds: ids,
        seconds: result.seconds + waited,
        prefillSeconds: result.prefillSeconds === 0 ? 0 : result.prefillSeconds + waited,
        cachedTokens: held.cachedTokens,
      }
    } catch (error) {
      // A session repairs what the network does to it, so it is kept; after any other error it is not.
      isSound = isTransient(error)
      throw error
    } finally {
      this.#counts.hitTokens += held.cachedTokens
      this.#giveBack(held, isSound)
    }
  }

  /** Frees all that is parked. Texts under way go on, and nothing of them is kept. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#parked.closeAll()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A session that holds what it can of the prompt, for this request alone. */
  async #take(wanted: Wanted): Promise<HeldSession> {
    this.#counts.queries += 1
    this.#counts.queryTokens += wanted.ids.length
    const best = findBest([...this.#parked, ...this.#inUse], wanted, this.#model.checkpoint.config)
    if (best === undefined) return this.#begin(this.#open(wanted), wanted, 0)
    const { held } = best
    if (best.isWhole) return this.#reuse(best, wanted)
    const copy = await this.#copy(best, wanted)
    const isFree = held.isParked && held.turns.isFree && !held.isLost
    // The copy holds nearly all that the session held, whose length was too small: nobody needs that one any more.
    if (copy !== undefined && isFree && best.isEnd) this.#parked.close(held)
    if (copy !== undefined) return copy
    // There was no room for a copy beside it: the session itself is cut back and used.
    const isWanted = wanted.signal?.aborted !== true && held.prefixOf(wanted.ids) > 0
    if (isFree && isWanted && held.maxLength >= wanted.needed) return this.#reuse(best, wanted)
    return this.#begin(this.#open(wanted), wanted, 0)
  }

  #reuse({ held }: Match, wanted: Wanted): HeldSession {
    const prefix = held.prefixOf(wanted.ids)
    this.#parked.remove(held)
    this.#model.swarm.tracing?.reuses?.(held.session.blocks.trace)
    return this.#begin(held, wanted, prefix)
  }

  /** A copy of what another session holds of the prompt, on its servers; undefined if one of them does not make it. */
  async #copy({ held }: Match, wanted: Wanted): Promise<HeldSession | undefined> {
    const { ids, signal } = wanted
    const copy = this.#open(wanted)
    try {
      const prefix = await held.lend(async () => {
        const position = Math.min(held.prefixOf(ids), held.session.position)
        await copy.session.forkFrom(held.session, position, { onlyCopies: true })
        return position
      }, signal)
      return this.#begin(copy, wanted, prefix)
    } catch (error) {
      await copy.close()
      if (!(error instanceof PetalsError) && signal?.aborted !== true) throw error
      return undefined
    }
  }

  #begin(held: HeldSession, wanted: Wanted, position: number): HeldSession {
    held.use(wanted.ids, position, wanted.watch)
    this.#inUse.add(held)
    return held
  }

  /** A session that holds nothing. Throws `SESSION_TOO_LONG`. */
  #open({ needed, settings, key }: Wanted): HeldSession {
    const { swarm, checkpoint } = this.#model
    const { config } = checkpoint
    const cacheTokens = smallestCache(swarm.records(), config.numBlocks)
    const maxLength = sessionLength(needed, { least: this.#sessionTokens, cacheTokens, config })
    const held = new HeldSession(this.#model.inferenceSession({ ...settings, maxLength }), { key, maxLength })
    held.session.blocks.on('lost', () => {
      if (held.isParked && held.isLost) this.#parked.close(held)
    })
    return held
  }

  /** Ends a request: its session is parked as soon as no other one forks from it. */
  #giveBack(held: HeldSession, isSound: boolean): void {
    const park = (): void => {
      this.#inUse.delete(held)
      if (isSound && !this.#closed && held.park()) this.#parked.add(held)
      else this.#parked.close(held)
    }
    if (!isSound || held.turns.isFree) park()
    else void held.turns.alone(park)
  }
}

/** Of each block the largest cache that a server has for it, in tokens; of all blocks the smallest such. */
function smallestCache(records: ReturnType<CachedModel['swarm']['records']>, numBlocks: number): number {
  const largest = new Float64Array(numBlocks)
  for (const { start, end, cacheTokens } of records)
    for (let block = start; block < Math.min(end, numBlocks); block++)
      largest[block] = Math.max(largest[block]!, cacheTokens)
  return Math.min(...largest)
}
