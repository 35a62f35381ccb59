import type { VNode } from 'preact'
import type { ModelSnapshot } from '../../../swarm-view/snapshot.ts'
import { amount, plural, serveCommand } from '../shared/format.ts'
import { html } from '../shared/html.ts'
import { Icon } from '../shared/icons.ts'
import { BlockMap } from './block-map.ts'
import { ServerTable } from './server-table.ts'

/** One model: whether all of it is held, its map, its servers. */
export function ModelSection({ model }: { readonly model: ModelSnapshot }): VNode {
  const { id, modelKey, numBlocks, missing, servers } = model
  return html`<section class="model" aria-labelledby=${`model-${modelKey}`}>
    <div class="model-head">
      <h1 id=${`model-${modelKey}`} title=${modelKey}>${id}</h1>
      <p class="quiet">${factsOf(model)}</p>
    </div>
    ${
      missing.length > 0 &&
      html`<p class="alarm" role="alert">
        <${Icon} name="warning" />
        <span>
          <strong>Nobody holds blocks ${missing.join(', ')} of ${numBlocks}.</strong> Answers wait until a server has
          them:${' '}<code>${serveCommand(id, missing[0]!)}</code>
        </span>
      </p>`
    }
    <div class="card map-card">
      <${BlockMap} model=${model} />
      ${servers.length > 0 && html`<${Legend} servers=${servers} />`}
    </div>
    ${
      servers.length > 0 &&
      html`<div class="card table-card" role="region" aria-label=${`Servers of ${id}`} tabindex="0">
        <${ServerTable} servers=${servers} />
      </div>`
    }
  </section>`
}

function factsOf({ numBlocks, servers, missing, rates, holders }: ModelSnapshot): string {
  const facts = [plural(numBlocks, 'block'), plural(servers.length, 'server')]
  if (missing.length > 0 || servers.length === 0) return facts.join(' · ')
  const slowest = rates.indexOf(Math.min(...rates))
  const times = Math.min(...holders)
  facts.push(`every block held ${times === 1 ? 'at least once' : `at least ${times} times`}`)
  if (rates[slowest]! > 0) facts.push(`slowest block ${slowest}: ${amount(rates[slowest]!)} tokens/s`)
  return facts.join(' · ')
}

function Legend({ servers }: Pick<ModelSnapshot, 'servers'>): VNode {
  const has = (tone: string): boolean =>
    servers.some(({ state, answers, isAvoided }) =>
      tone === 'bad' ? !answers : answers && (isAvoided || state !== 'ONLINE'),
    )
  return html`<ul class="legend">
    <li><span class="swatch scale"></span>slower to faster</li>
    ${has('warning') && html`<li><span class="swatch warning"></span>joining, draining or avoided</li>`}
    ${has('bad') && html`<li><span class="swatch bad"></span>no answer</li>`}
    ${servers.some(({ isOwn }) => isOwn) && html`<li><span class="swatch own"></span>this node</li>`}
    <li><span class="swatch count">1</span>servers that hold a block</li>
  </ul>`
}
