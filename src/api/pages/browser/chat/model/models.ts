import { effect, signal } from '@preact/signals'
import { ask } from '../../shared/api.ts'
import { changeAndKeep, current, rememberModel } from './state.ts'

/** A model that can be asked: a base model, or one of its adapters. */
export interface ModelEntry {
  readonly id: string
  /** Of an adapter, its base model. */
  readonly parent?: string | null
}

/** The models of this server; empty until they are known. */
export const models = signal<readonly ModelEntry[]>([])

/** Why they are not known. */
export const modelsTrouble = signal<string | undefined>(undefined)

/** Adapters come and go with their servers. */
const REFRESH_MS = 30_000
const RETRY_MS = 3000

/** Keeps the list of models up to date. */
export async function watchModels(): Promise<void> {
  for (;;) {
    const isKnown = await readModels()
    await new Promise((resolve) => setTimeout(resolve, isKnown ? REFRESH_MS : RETRY_MS))
  }
}

/** A conversation without messages, or without a model, gets one that is there. */
effect(() => {
  const { id, model, messages } = current.value
  const [first] = models.value
  if (first === undefined || (model !== '' && messages.length > 0)) return
  if (!models.value.some((each) => each.id === model))
    changeAndKeep(id, (conversation) => ({ ...conversation, model: first.id }))
})

/** The model of an adapter; a base model is its own. */
export function baseOf(model: string): string {
  return models.value.find(({ id }) => id === model)?.parent ?? model
}

/** Asks another model from now on. */
export function chooseModel(model: string): void {
  rememberModel(model)
  changeAndKeep(current.value.id, (conversation) => ({ ...conversation, model }))
}

async function readModels(): Promise<boolean> {
  try {
    const { data } = (await (await ask('v1/models')).json()) as { data: ModelEntry[] }
    models.value = data
    modelsTrouble.value = undefined
    return data.length > 0
  } catch (error) {
    modelsTrouble.value = (error as Error).message
    return false
  }
}
