import { Counter, Histogram, type Registry } from 'prom-client'
import type { RequestMeter, RequestMeters } from '../generating/meters.ts'
import type { TextEvent, TextRequest } from '../generating/text-request.ts'
import type { ModelCatalog } from '../models/model-catalog.ts'
import { finishReasonOf } from '../openai/finish-reason.ts'
import type { FairQueue } from '../queue/fair-queue.ts'
import { type Reading, registerGauges } from './read-metrics.ts'

/** Bounds of buckets as vLLM has them: dashboards that were made for it read them. */
const FIRST_TOKEN_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
]
const TOKEN_SECONDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]
const REQUEST_SECONDS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680]
const TOKEN_COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]
const STEP_TOKENS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384]
const TEXT_COUNTS = [1, 2, 5, 10, 20]

const LABELS = ['model_name', 'engine']

/** The value of vLLM's label `engine`, which numbers engines: here there is one, the swarm. */
const ENGINE = '0'

interface Labels {
  readonly model_name: string
  readonly engine: string
}

const HISTOGRAMS = {
  time_to_first_token_seconds: ['Time to the first token', FIRST_TOKEN_SECONDS],
  inter_token_latency_seconds: ['Time between two tokens of a text', TOKEN_SECONDS],
  time_per_output_token_seconds: ['The same, under its older name', TOKEN_SECONDS],
  request_time_per_output_token_seconds: ['Mean time between the tokens of a text', TOKEN_SECONDS],
  e2e_request_latency_seconds: ['Time from a request to its last token', REQUEST_SECONDS],
  request_queue_time_seconds: ['Time that a request waited for its turn', REQUEST_SECONDS],
  request_inference_time_seconds: ['Time from its turn to its last token', REQUEST_SECONDS],
  request_prefill_time_seconds: ['Time from its turn to its first token', REQUEST_SECONDS],
  request_decode_time_seconds: ['Time from its first token to its last', REQUEST_SECONDS],
  request_prompt_tokens: ['Tokens of a prompt', TOKEN_COUNTS],
  request_generation_tokens: ['Tokens of a text', TOKEN_COUNTS],
  request_max_num_generation_tokens: ['Tokens of the longest text of a request', TOKEN_COUNTS],
  request_params_n: ['Texts of a prompt that a request asks for', TEXT_COUNTS],
  request_params_max_tokens: ['Tokens that a text may have', TOKEN_COUNTS],
  request_prefill_kv_computed_tokens: ['Tokens of a prompt that were not held already', TOKEN_COUNTS],
  iteration_tokens_total: ['Tokens that one step brought a text: its prompt, or one', STEP_TOKENS],
} as const

const COUNTERS = {
  prompt_tokens_total: 'Tokens of prompts',
  generation_tokens_total: 'Tokens that were generated',
  num_preemptions_total: 'Texts that were put aside for others: never, here',
  prefix_cache_queries_total: 'Tokens of prompts that were looked for among what servers hold',
  prefix_cache_hits_total: 'Of these, the ones that were found',
} as const

type HistogramName = keyof typeof HISTOGRAMS
type CounterName = keyof typeof COUNTERS

/** Metrics of requests for texts, under the names that vLLM's have. */
export class VllmMetrics implements RequestMeters {
  readonly #histograms: Readonly<Record<HistogramName, Histogram>>
  readonly #counters: Readonly<Record<CounterName, Counter>>
  readonly #successes: Counter

  constructor(registry: Registry, { catalog, queue }: { readonly catalog: ModelCatalog; readonly queue: FairQueue }) {
    const registers = [registry]
    const named = (name: string, help: string) => ({ name: `vllm:${name}`, help, labelNames: LABELS, registers })
    this.#histograms = mapTable(
      HISTOGRAMS,
      (name, [help, buckets]) => new Histogram({ ...named(name, help), buckets: [...buckets] }),
    )
    this.#counters = mapTable(COUNTERS, (name, help) => new Counter(named(name, help)))
    this.#successes = new Counter({
      name: 'vllm:request_success_total',
      help: 'Texts that came to their end',
      labelNames: [...LABELS, 'finished_reason'],
      registers,
    })
    registerState(registry, catalog, queue)
  }

  begin(request: TextRequest): RequestMeter {
    return new TextMeter(this, { model_name: request.model.id, engine: ENGINE }, request)
  }

  observe(labels: Labels, name: HistogramName, value: number): void {
    this.#histograms[name].observe({ ...labels }, value)
  }

  count(labels: Labels, name: CounterName, value: number): void {
    this.#counters[name].inc({ ...labels }, value)
  }

  succeeded(labels: Labels, reason: string): void {
    this.#successes.inc({ ...labels, finished_reason: reason })
  }
}

/** A value for each row of a table. */
function mapTable<K extends string, R, T>(table: Readonly<Record<K, R>>, make: (name: K, row: R) => T): Record<K, T> {
  const rows = Object.entries(table) as [K, R][]
  return Object.fromEntries(rows.map(([name, row]) => [name, make(name, row)])) as Record<K, T>
}

/** What is read at each scrape. */
function registerState(registry: Registry, catalog: ModelCatalog, queue: FairQueue): void {
  const perModel = (read: (model: ModelCatalog['models'][number], i: number) => number) => (): Reading[] =>
    catalog.models.map((model, i) => ({ labels: { model_name: model.id, engine: ENGINE }, value: read(model, i) }))
  const gauge = (name: string, help: string, read: Parameters<typeof perModel>[0]): void =>
    registerGauges(registry, `vllm:${name}`, help, LABELS, perModel(read))
  gauge('num_requests_running', 'Requests whose texts are being generated', ({ id }) => queue.numRunningOf(id))
  gauge('num_requests_waiting', 'Requests that wait for their turn', ({ id }) => queue.numWaitingOf(id))
  gauge('kv_cache_usage_perc', 'Share of the KV cache that is taken, where it is fullest', (model) => model.cacheUsage)
  gauge('gpu_cache_usage_perc', 'The same, under its older name', (model) => model.cacheUsage)
  gauge('engine_healthy', '1 if every block of the model is served', ({ missingBlocks }) =>
    missingBlocks.length === 0 ? 1 : 0,
  )
  registerGauges(
    registry,
    'vllm:cache_config_info',
    '1, with the cache in its labels',
    [...LABELS, 'cache_tokens'],
    () =>
      catalog.models.map((model) => ({
        labels: { model_name: model.id, engine: ENGINE, cache_tokens: String(model.cacheTokens) },
        value: 1,
      })),
  )
  registerGauges(
    registry,
    'vllm:lora_requests_info',
    '1, with the adapters that requests wait for and run with',
    [...LABELS, 'max_lora', 'waiting_lora_adapters', 'running_lora_adapters'],
    () =>
      catalog.models.map(({ id, adapters }) => ({
        labels: {
          model_name: id,
          engine: ENGINE,
          max_lora: String(adapters.length),
          waiting_lora_adapters: adapters.filter((name) => queue.numWaitingOf(name) > 0).join(','),
          running_lora_adapters: adapters.filter((name) => queue.numRunningOf(name) > 0).join(','),
        },
        value: 1,
      })),
  )
}

interface MeteredText {
  lastAt: number
  numTokens: number
  firstAt: number
}

/** Measures one request. */
class TextMeter implements RequestMeter {
  readonly #metrics: VllmMetrics
  readonly #labels: Labels
  readonly #request: TextRequest
  readonly #beganAt = performance.now()
  readonly #texts = new Map<number, MeteredText>()
  readonly #ofPrompt = new Set<number>()
  #startedAt: number | undefined
  #firstAt: number | undefined
  #lastAt: number | undefined

  constructor(metrics: VllmMetrics, labels: Labels, request: TextRequest) {
    this.#metrics = metrics
    this.#labels = labels
    this.#request = request
  }

  started(): void {
    this.#startedAt = performance.now()
    const { prompts, n, options } = this.#request
    this.#observe('request_queue_time_seconds', seconds(this.#beganAt, this.#startedAt))
    this.#observe('request_params_n', n)
    this.#observe('request_params_max_tokens', options.maxNewTokens)
    for (const { length } of prompts) this.#observe('request_prompt_tokens', length)
  }

  add(event: TextEvent): void {
    if (event.kind === 'prompt') return
    if (event.kind === 'chunk' && event.chunk.tokenIds.length > 0) this.#token(event.index, event.chunk.tokenIds.length)
    if (event.kind === 'end') this.#end(event)
  }

  ended(): void {
    if (this.#lastAt === undefined || this.#startedAt === undefined) return
    this.#observe('e2e_request_latency_seconds', seconds(this.#beganAt, this.#lastAt))
    this.#observe('request_inference_time_seconds', seconds(this.#startedAt, this.#lastAt))
    if (this.#firstAt === undefined) return
    this.#observe('request_prefill_time_seconds', seconds(this.#startedAt, this.#firstAt))
    this.#observe('request_decode_time_seconds', seconds(this.#firstAt, this.#lastAt))
    const longest = Math.max(...[...this.#texts.values()].map(({ numTokens }) => numTokens))
    this.#observe('request_max_num_generation_tokens', longest)
  }

  #token(index: number, count: number): void {
    const now = performance.now()
    if (this.#firstAt === undefined) {
      this.#firstAt = now
      this.#observe('time_to_first_token_seconds', seconds(this.#beganAt, now))
    }
    this.#lastAt = now
    this.#metrics.count(this.#labels, 'generation_tokens_total', count)
    const text = this.#texts.get(index)
    if (text === undefined) {
      this.#texts.set(index, { firstAt: now, lastAt: now, numTokens: count })
      return
    }
    this.#observe('inter_token_latency_seconds', seconds(text.lastAt, now))
    this.#observe('time_per_output_token_seconds', seconds(text.lastAt, now))
    this.#observe('iteration_tokens_total', count)
    text.lastAt = now
    text.numTokens += count
  }

  #end({ index, result }: Extract<TextEvent, { kind: 'end' }>): void {
    const now = performance.now()
    this.#lastAt = now
    this.#read(Math.floor(index / this.#request.n), result.cachedTokens)
    const text = this.#texts.get(index)
    this.#observe('request_generation_tokens', text?.numTokens ?? 0)
    if (text !== undefined && text.numTokens > 1)
      this.#observe('request_time_per_output_token_seconds', seconds(text.firstAt, text.lastAt) / (text.numTokens - 1))
    if (result.finishReason !== 'aborted') this.#metrics.succeeded(this.#labels, finishReasonOf(result.finishReason))
  }

  /** Counts a prompt, once for all of its texts. */
  #read(prompt: number, cachedTokens: number): void {
    if (this.#ofPrompt.has(prompt)) return
    this.#ofPrompt.add(prompt)
    const { length } = this.#request.prompts[prompt]!
    this.#metrics.count(this.#labels, 'prompt_tokens_total', length)
    this.#metrics.count(this.#labels, 'prefix_cache_queries_total', length)
    this.#metrics.count(this.#labels, 'prefix_cache_hits_total', cachedTokens)
    this.#observe('request_prefill_kv_computed_tokens', length - cachedTokens)
    this.#observe('iteration_tokens_total', length - cachedTokens)
  }

  #observe(name: HistogramName, value: number): void {
    this.#metrics.observe(this.#labels, name, value)
  }
}

function seconds(from: number, until: number): number {
  return (until - from) / 1000
}
