import type { VNode } from 'preact'
import { html } from '../shared/html.ts'
import { KeyDialog } from '../shared/key-dialog.ts'
import { swarm, swarmTrouble } from '../shared/live-swarm.ts'
import { PageButtons, PageLinks } from '../shared/shell.ts'
import { Happenings } from './happenings.ts'
import { ModelSection } from './model-section.ts'
import { OwnNode } from './own-node.ts'

export function App(): VNode {
  return html`<div class="swarm">
    <header class="swarm-top">
      <${PageLinks} page="swarm" />
      <${PageButtons} />
    </header>
    <main><${Content} /></main>
    <${KeyDialog} />
  </div>`
}

function Content(): VNode {
  const snapshot = swarm.value
  const trouble = swarmTrouble.value
  if (snapshot === undefined)
    return html`<p class="first-look" role="status">${trouble === undefined ? 'Looking at the swarm…' : trouble}</p>`
  const { models, node, happenings } = snapshot
  const stale = html`<p class="stale" role="status">${trouble} What is shown is not up to date.</p>`
  return html`${trouble !== undefined && stale}
    ${models.length === 0 && html`<p class="first-look" role="status">This node is still opening its models.</p>`}
    ${models.map((model) => html`<${ModelSection} key=${model.modelKey} model=${model} />`)}
    <div class="pair">
      <${Happenings} happenings=${happenings} namesModels=${models.length > 1} />
      <${OwnNode} node=${node} />
    </div>`
}
