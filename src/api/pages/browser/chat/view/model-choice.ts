import type { VNode } from 'preact'
import { html } from '../../shared/html.ts'
import { type ModelEntry, chooseModel, models, modelsTrouble } from '../model/models.ts'
import { current } from '../model/state.ts'

/** Which model is asked next: base models, and adapters below their own. */
export function ModelChoice(): VNode {
  const { model } = current.value
  const all = models.value
  if (all.length === 0)
    return html`<span class="model-choice quiet">${modelsTrouble.value ?? 'Looking for models…'}</span>`
  const bases = all.filter(({ parent }) => parent === undefined || parent === null)
  const isKnown = all.some(({ id }) => id === model)
  return html`<select class="model-choice" aria-label="Model" value=${model} onChange=${choose}>
    ${!isKnown && html`<option value=${model} disabled>${model} (not served now)</option>`}
    ${bases.map((base) =>
      options(
        base,
        all.filter(({ parent }) => parent === base.id),
        model,
      ),
    )}
  </select>`
}

function choose(event: Event): void {
  chooseModel((event.currentTarget as HTMLSelectElement).value)
}

function options({ id }: ModelEntry, adapters: readonly ModelEntry[], chosen: string): VNode {
  const option = (name: string, text: string): VNode =>
    html`<option value=${name} selected=${name === chosen}>${text}</option>`
  if (adapters.length === 0) return option(id, id)
  return html`<optgroup label=${id}>
    ${option(id, id)} ${adapters.map((adapter) => option(adapter.id, `${adapter.id} (adapter)`))}
  </optgroup>`
}
