import type { OpenModelOptions } from '../../checkpoint/open-model.ts'
import type { LanOptions } from '../../swarm/node/lan-discovery.ts'
import type { SwarmLogger, SwarmNode } from '../../swarm/node/node.ts'
import type { Tracing } from '../../swarm/node/tracing.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import type { ServerChoiceOptions } from '../remote/routes/server-choice.ts'
import type { WireChoice } from '../remote/routes/wire-dtype.ts'
import type { ReplayCopies } from '../session/open.ts'
import type { Classifier } from '../tuned/classifier.ts'
import type { TunedHead } from '../tuned/tuned-head.ts'
import type { TunedPrompts } from '../tuned/tuned-prompts.ts'

/** How a model is loaded and its swarm joined. */
export interface PretrainedOptions extends ServerChoiceOptions {
  /** Addresses, with `/p2p/`, of peers of the swarm, or join tokens. Needed unless `node` is given. */
  readonly bootstrap?: readonly string[]
  /** Looks for peers of the swarm in the local network, too, by multicast DNS. */
  readonly lan?: LanOptions | undefined
  /**
   * A started node to use instead of a new one; it stays the caller's. If it serves a span itself, that span is
   * preferred and used within the process.
   */
  readonly node?: SwarmNode
  /** The 32 bytes of a private swarm's key. */
  readonly swarmKey?: Uint8Array | undefined
  /** The model's key, instead of the one that is computed from the checkpoint. */
  readonly dhtPrefix?: string | undefined
  /**
   * The adapter of all sessions and requests that name no other: the name of one that servers hold, or one of the
   * client's own (`loadAdapter`).
   */
  readonly activeAdapter?: ActiveAdapter | undefined
  /** Tuned prompts of all sessions and requests that bring no others (`loadPrompts`). */
  readonly prompts?: TunedPrompts | undefined
  /** Of `AutoDistributedModelForCausalLM`: a tuned head in place of the checkpoint's (`loadHead`). */
  readonly head?: TunedHead | undefined
  /**
   * Of `AutoDistributedModelForSequenceClassification`: a trained head (`loadClassifier`), or how many labels a new one
   * has; two by default.
   */
  readonly classifier?: Classifier | number | undefined
  /** The most time for one step of a session, in milliseconds, as in `SessionOptions`. */
  readonly stepTimeoutMs?: number | undefined
  /** Whether sessions pull copies for repairs, as in `SessionOptions`. */
  readonly replayCopies?: ReplayCopies | undefined
  /** The form in which hidden states travel, as in `SessionOptions`. */
  readonly wireDType?: WireChoice | undefined
  /** How long a session waits for servers before a step fails, in milliseconds, as in `SessionOptions`. */
  readonly recoveryTimeoutMs?: number | undefined
  /**
   * Where embedding and head are computed: `auto`, `cpu`, `cuda` or `cuda:N`. The default, `auto`, is the device on
   * which `node` serves a span, or else the CPU.
   */
  readonly endsDevice?: string | undefined
  /** Compute threads for embedding and head; by default one per core. */
  readonly threads?: number
  /** Whether idle compute threads busy-wait, for lower latency. */
  readonly spin?: boolean
  readonly logger?: SwarmLogger
  /** Takes spans of the model's requests: by default none are made. A given `node` has its own. */
  readonly tracing?: Tracing | undefined
  /** How a model of the hub is downloaded. */
  readonly download?: OpenModelOptions | undefined
}
