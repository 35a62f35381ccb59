import { notFound, unavailable } from '../errors/api-error.ts'
import type { ServedModel } from './served-model.ts'

/** A model as a request names it: by itself, or with one of its adapters. */
export interface ChosenModel {
  /** The name in answers. */
  readonly id: string
  readonly served: ServedModel
  readonly adapter: string | undefined
}

/** Seconds that a model which is being opened may still need. */
const LOADING_SECONDS = 5

/** The models that one server answers for. */
export class ModelCatalog {
  readonly #models: ServedModel[] = []
  #isComplete = false

  get models(): readonly ServedModel[] {
    return this.#models
  }

  /** Whether all models are there. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  add(model: ServedModel): void {
    this.#models.push(model)
  }

  /** Says that no more models come. */
  complete(): void {
    this.#isComplete = true
  }

  /**
   * The model that a request means; the only one there is where it names none. `asking` is told its id. Throws an
   * `ApiError`: 404 for an unknown name, 503 while models are still being opened.
   */
  find(name: string | undefined, asking?: { model?: string | undefined }): ChosenModel {
    const chosen = this.#chosen(name)
    if (asking !== undefined) asking.model = chosen.id
    return chosen
  }

  #chosen(name: string | undefined): ChosenModel {
    const [first] = this.#models
    const served =
      name === undefined ? (this.#models.length === 1 ? first : undefined) : this.#models.find((m) => m.isCalled(name))
    if (served !== undefined) return { id: served.id, served, adapter: undefined }
    if (name !== undefined) {
      const base = this.#models.find(({ adapters }) => adapters.includes(name))
      if (base !== undefined) return { id: name, served: base, adapter: name }
    }
    if (!this.#isComplete) throw unavailable('models are being opened', 'model_loading', LOADING_SECONDS)
    const known = this.#models.flatMap(({ id, adapters }) => [id, ...adapters])
    const what =
      name === undefined ? 'a request must name its model' : `there is no model ${JSON.stringify(name.slice(0, 200))}`
    throw notFound(`${what}; there are: ${known.join(', ')}`, 'model_not_found', 'model')
  }
}
