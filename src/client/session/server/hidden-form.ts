import { PetalsError } from '../../../base/errors.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import { type Activations, type WireDType, activationBytes } from '../../../tensor/activations.ts'
import { allFinite } from '../../../tensor/finite.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { type WireChoice, agreedWireDType, answerDType, encodeOwn, passOn } from '../../remote/routes/wire-dtype.ts'
import { wrongAnswer } from '../../remote/wrong-answer.ts'

/** What decides the form of hidden states. */
export interface HiddenFormOptions {
  readonly server: ServerRecord
  /** The form that the client wants, where the server's record has it. */
  readonly wireDType: WireChoice
  readonly hiddenSize: number
}

/** The form in which hidden states travel to one server and back. */
export class HiddenForm {
  /** What the server is asked for; undefined: floats, its own dtype. */
  readonly agreed: WireDType | undefined
  readonly #answerDType: string
  readonly #options: HiddenFormOptions

  constructor(options: HiddenFormOptions) {
    const { server, wireDType } = options
    this.#options = options
    this.agreed = agreedWireDType(server, wireDType)
    this.#answerDType = answerDType(server, wireDType)
  }

  /** Bytes of a token's hidden states as the server sends them. */
  get rowBytes(): number {
    return activationBytes(this.#answerDType as Activations['dtype'], [1, this.#options.hiddenSize])
  }

  /** The client's own hidden states [tokens, hidden] as they are sent to the server. Throws `WIRE_DTYPE`. */
  encodeOwn(values: Tensor): Promise<Activations> {
    return encodeOwn(values, this.#options.server, this.#options.wireDType)
  }

  /** What another server has made, as it is sent on to this one. */
  passOn(hidden: Activations): Promise<Activations> {
    return passOn(hidden, this.#options.server)
  }

  /**
   * Checks what the server has sent. Throws `TENSOR_NONFINITE`, or `SESSION_ANSWER` for hidden states of another width,
   * or in another form than was agreed on: where none was, the dtype that the server's record has.
   */
  check(hidden: Activations): void {
    const { peerId } = this.#options.server
    const { dtype, shape } = hidden
    if (dtype !== this.#answerDType) throw wrongAnswer(peerId, `${dtype} while ${this.#answerDType} was agreed on`)
    if (!allFinite(hidden))
      throw new PetalsError('TENSOR_NONFINITE', `peer ${peerId} sent values that are NaN or infinite`)
    const { hiddenSize } = this.#options
    if (shape[1] !== hiddenSize) throw wrongAnswer(peerId, `a tensor [${shape}] for [tokens, ${hiddenSize}]`)
  }
}
