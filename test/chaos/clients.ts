import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { AutoDistributedModelForCausalLM } from '../../src/client/model/model.ts'
import type { Recovery } from '../../src/client/session/inference-session.ts'
import type { GenerationOptions } from '../../src/sampling/options/options.ts'
import { DEMO, goldenTexts } from '../client/kit.ts'

/** One text to be written, and what it is without any trouble. */
export interface Task {
  readonly prompt: readonly number[]
  readonly options: GenerationOptions
  ids: readonly number[]
}

/** What clients have seen. */
export interface Outcome {
  generations: number
  tokens: number
  readonly recoveries: Recovery[]
  readonly failures: string[]
}

const MAX_NEW_TOKENS = 32

/** Who reads takes time: most troubles meet sessions in their midst, and the machine has time for all processes. */
const READ_MS = 50

/** Clients with a node of their own each. */
export class Clients {
  readonly outcome: Outcome = { generations: 0, tokens: 0, recoveries: [], failures: [] }
  readonly #models: AutoDistributedModelForCausalLM[] = []
  #tasks: Task[] = []
  #finishing = false

  static async start(howMany: number, bootstrap: string, onRecovery: (recovery: Recovery) => void): Promise<Clients> {
    const clients = new Clients()
    for (let i = 0; i < howMany; i++) {
      const model = await AutoDistributedModelForCausalLM.fromPretrained(DEMO, { bootstrap: [bootstrap], threads: 1 })
      clients.#models.push(model)
      model.on('recovery', (recovery) => {
        clients.outcome.recoveries.push(recovery)
        onRecovery(recovery)
      })
    }
    return clients
  }

  /** Writes every text once while nothing happens: what each is to be later. */
  async rehearse(): Promise<void> {
    const golden = await goldenTexts()
    const prompts = golden.map(({ input_ids }) => input_ids)
    const long = golden.flatMap(({ greedy_ids }) => greedy_ids).slice(0, 300)
    const greedy = { maxNewTokens: MAX_NEW_TOKENS, eosTokenIds: [] }
    const sampled = { ...greedy, doSample: true, temperature: 0.9, topP: 0.95 }
    this.#tasks = [
      ...prompts.map((prompt) => ({ prompt, options: greedy, ids: [] })),
      ...prompts.slice(0, 2).map((prompt, seed) => ({ prompt, options: { ...sampled, seed }, ids: [] })),
      { prompt: long, options: greedy, ids: [] },
    ]
    const left = [...this.#tasks]
    const rehearseWith = async (model: AutoDistributedModelForCausalLM): Promise<void> => {
      for (let task = left.shift(); task !== undefined; task = left.shift()) task.ids = await write(model, task)
    }
    await Promise.all(this.#models.map(rehearseWith))
  }

  /** Has all clients write texts until `until`, a time of `performance.now()`, or until they are told to finish. */
  async write(until: number): Promise<void> {
    await Promise.all(this.#models.map((model, i) => this.#writeWith(model, i, until)))
  }

  async #writeWith(model: AutoDistributedModelForCausalLM, client: number, until: number): Promise<void> {
    for (let turn = client; performance.now() < until && !this.#finishing; turn++) {
      const task = this.#tasks[turn % this.#tasks.length]!
      try {
        const ids = await write(model, task)
        this.outcome.generations++
        this.outcome.tokens += ids.length
        if (!isDeepStrictEqual(ids, task.ids)) this.outcome.failures.push(`other tokens: ${ids} for ${task.ids}`)
      } catch (error) {
        this.outcome.failures.push(String((error as Error).stack))
      }
    }
  }

  /** They end the texts that they are at, and begin no others. */
  finish(): void {
    this.#finishing = true
  }

  async close(): Promise<void> {
    for (const model of this.#models) await model.close()
  }
}

async function write(model: AutoDistributedModelForCausalLM, { prompt, options }: Task): Promise<readonly number[]> {
  const ids: number[] = []
  for await (const { tokenIds } of model.stream(prompt, options)) {
    ids.push(...tokenIds)
    await sleep(READ_MS)
  }
  return ids
}
