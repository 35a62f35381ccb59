import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingHttpHeaders } from 'node:http'
import {
  type Context,
  DiagLogLevel,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  defaultTextMapGetter,
  diag,
  trace as spans,
} from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type IdGenerator,
  RandomIdGenerator,
} from '@opentelemetry/sdk-trace-base'
import { errorCode } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import type { SwarmLogger } from '../swarm/logger.ts'
import type { RequestTrace } from '../swarm/node/trace.ts'
import type { OpenSpan, SpanAttributes, Tracing } from '../swarm/node/tracing.ts'
import type { Answered, RequestSpan, RequestTracing } from './http/request-span.ts'

/** How long a node that stops waits for its last spans to be taken. */
const LAST_SPANS_MS = 2000

const silent = (): void => undefined

/**
 * Sends spans to an OpenTelemetry collector by OTLP over HTTP, in batches. The SDK reads from its own variables
 * (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*`, `OTEL_TRACES_SAMPLER`) where to, how many and which of them; what does not get
 * there is dropped. To be loaded only where spans are wanted.
 */
export class TraceExport implements Tracing, RequestTracing {
  readonly #provider: BasicTracerProvider
  readonly #exporter: TellingExporter
  readonly #ids = new RequestIds()
  readonly #callers = new W3CTraceContextPropagator()
  /** The HTTP request that the running code works for. */
  readonly #serving = new AsyncLocalStorage<Context>()
  /** The client's spans that have not ended, by the ids of their requests. */
  readonly #open = new Map<string, SpanContext>()

  constructor(logger: SwarmLogger) {
    // What the SDK has to say at the start is of its settings; later of exports, of which the exporter tells.
    let level: 'warn' | 'debug' = 'warn'
    const say = (message: string): void => logger[level]({}, `OpenTelemetry: ${message}`)
    diag.setLogger(
      { error: say, warn: say, info: silent, debug: silent, verbose: silent },
      { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
    )
    this.#exporter = new TellingExporter(logger)
    const own = resourceFromAttributes({ 'service.name': 'petals-node', 'service.version': VERSION })
    this.#provider = new BasicTracerProvider({
      resource: own.merge(detectResources({ detectors: [envDetector] })),
      idGenerator: this.#ids.generator,
      spanProcessors: [new BatchSpanProcessor(this.#exporter)],
    })
    level = 'debug'
  }

  begin(trace: string, name: string, attributes: SpanAttributes): OpenSpan {
    const span = this.#ofClient(trace, name, attributes, this.#serving.getStore())
    this.#open.set(trace, span.spanContext())
    return {
      event: (name, attributes = {}) => void span.addEvent(name, attributes),
      end: (attributes = {}, error) => {
        span.setAttributes(attributes)
        if (error !== undefined)
          span.setAttribute('error.type', errorCode(error)).setStatus({ code: SpanStatusCode.ERROR })
        span.end()
        this.#open.delete(trace)
      },
    }
  }

  context(): string | undefined {
    const serving = this.#serving.getStore()
    const of = serving && spans.getSpanContext(serving)
    return of && `${of.traceId}${(of.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0')}`
  }

  reuses(trace: string): void {
    const serving = this.#serving.getStore()
    const context = this.#open.get(trace)
    if (serving !== undefined && context !== undefined) spans.getSpan(serving)?.addLink({ context })
  }

  beginRequest(headers: IncomingHttpHeaders): RequestSpan {
    const caller = this.#callers.extract(ROOT_CONTEXT, headers, defaultTextMapGetter)
    const span = this.#tracer.startSpan('HTTP', { kind: SpanKind.SERVER }, caller)
    const within = spans.setSpan(ROOT_CONTEXT, span)
    return {
      run: (work) => this.#serving.run(within, work),
      end: (answered, error) => endRequest(span, answered, error),
    }
  }

  served(request: RequestTrace, name: string, beganMs: number, attributes: SpanAttributes): void {
    const now = Date.now()
    const startTime = now - (performance.now() - beganMs)
    const options = { kind: SpanKind.SERVER, startTime, attributes }
    this.#tracer.startSpan(name, options, this.#below(request)).end(now)
  }

  /** Sends what there is; resolves when it was taken, or has had time enough. */
  async stop(): Promise<void> {
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#exporter.lost(`no answer within ${LAST_SPANS_MS / 1000} s`)
      late.resolve()
    }, LAST_SPANS_MS)
    await Promise.race([this.#provider.shutdown().catch(() => undefined), late.promise])
    clearTimeout(timer)
    diag.disable()
  }

  get #tracer() {
    return this.#provider.getTracer('petals-node', VERSION)
  }

  /** The client's span of a request, below the HTTP request that it is made for, if there is one. */
  #ofClient(trace: string, name: string, attributes: SpanAttributes, within: Context = ROOT_CONTEXT): Span {
    return this.#ids.during(trace, () => this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, within))
  }

  /**
   * The place below the client's span, which is another process's. Where that is the first of its trace, it is begun
   * here as well, and never ended nor sent, because the sampler then decides as the client's: a request has all of its
   * spans, or none.
   */
  #below({ trace, traceContext }: RequestTrace): Context {
    const parent =
      traceContext === undefined
        ? this.#ofClient(trace, 'request', {}).spanContext()
        : { traceId: traceContext.slice(0, 32), spanId: trace, traceFlags: Number(`0x${traceContext.slice(32)}`) }
    return spans.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true })
  }
}

/** Ends the span of an HTTP request, with attributes as OpenTelemetry names them. */
function endRequest(span: Span, { route, method, status, model, hasBrokenOff }: Answered, error: unknown): void {
  const hasRoute = route !== 'none'
  span.updateName(hasRoute ? `${method} ${route}` : method)
  span.setAttributes({
    'http.request.method': method,
    'http.response.status_code': status,
    ...(hasRoute && { 'http.route': route }),
    ...(model !== undefined && { 'gen_ai.request.model': model }),
  })
  if (status >= 500 || hasBrokenOff)
    span.setAttribute('error.type', error === undefined ? String(status) : errorCode(error)).setStatus({
      code: SpanStatusCode.ERROR,
    })
  span.end()
}

/** Ids of spans: those of clients' own have the ids of their requests, all others are random. */
class RequestIds {
  readonly #random = new RandomIdGenerator()
  #request: string | undefined

  readonly generator: IdGenerator = {
    generateTraceId: () => this.#request?.padStart(32, '0') ?? this.#random.generateTraceId(),
    generateSpanId: () => this.#request ?? this.#random.generateSpanId(),
  }

  during<T>(request: string, begin: () => T): T {
    this.#request = request
    try {
      return begin()
    } finally {
      this.#request = undefined
    }
  }
}

/** Warns when spans begin to get lost, and not again until some have been taken. */
class TellingExporter extends OTLPTraceExporter {
  readonly #logger: SwarmLogger
  #failing = false

  constructor(logger: SwarmLogger) {
    super()
    this.#logger = logger
  }

  override export(...[batch, onResult]: Parameters<OTLPTraceExporter['export']>): void {
    super.export(batch, (result) => {
      if (result.error === undefined) this.#failing = false
      else this.lost(result.error.message)
      onResult(result)
    })
  }

  /** Notes that spans were lost, for this reason. */
  lost(reason: string): void {
    if (!this.#failing) this.#logger.warn({ reason }, 'the OpenTelemetry endpoint did not take spans')
    this.#failing = true
  }
}
