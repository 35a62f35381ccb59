import type { VNode } from 'preact'
import type { ModelSnapshot } from '../../../../swarm-view/snapshot.ts'
import { html } from '../../shared/html.ts'
import { Mark } from '../../shared/icons.ts'
import { swarm } from '../../shared/live-swarm.ts'
import { plural } from '../../shared/format.ts'
import { baseOf } from '../model/models.ts'
import { current } from '../model/state.ts'

/** What stands where there is no message yet. */
export function Welcome(): VNode {
  const { model } = current.value
  const base = baseOf(model)
  const status = swarm.value?.models.find(({ id }) => id === base)
  return html`<div class="welcome">
    <${Mark} />
    <h1>What shall the swarm write?</h1>
    ${status !== undefined && html`<p>${computedBy(base, status)}</p>`}
    <p class="quiet">The servers that compute an answer can see what is written. <a href="./swarm">Who they are</a></p>
  </div>`
}

function computedBy(model: string, { numBlocks, servers }: ModelSnapshot): string {
  if (servers.length === 0) return `No server computes ${model} just now: there is no answer until one does.`
  if (servers.length === 1) return `One server computes ${model}, as far as it holds its ${numBlocks} blocks.`
  return `${plural(servers.length, 'server')} compute ${model}, each a part of its ${numBlocks} blocks.`
}
