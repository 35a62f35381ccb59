import type { VNode } from 'preact'
import type { NodeSnapshot } from '../../../swarm-view/snapshot.ts'
import { amount, bytes, duration, percent } from '../shared/format.ts'
import { html } from '../shared/html.ts'
import { cacheShare } from './words.ts'

/** The node that answers, and how busy it is. */
export function OwnNode({ node }: { readonly node: NodeSnapshot }): VNode {
  const { serving } = node
  const used = serving === undefined ? undefined : cacheShare(serving)
  const figures: [string, string | undefined][] = [
    ['Answers under way', String(node.running)],
    ['Requests that wait', String(node.waiting)],
    ['Sessions of its own span', serving === undefined ? undefined : String(serving.sessions)],
    [
      'Cache of its own span',
      used === undefined ? undefined : `${percent(used)} of ${amount(serving!.cacheTokens)} tokens`,
    ],
    ['Processor', `${node.busyCores.toFixed(node.busyCores < 10 ? 2 : 0)} cores`],
    ['Memory', bytes(node.memoryBytes)],
    ['Peers', String(node.peers)],
    ['Up for', duration(node.uptimeSeconds)],
    ['Version', node.version],
  ]
  return html`<section class="card" aria-labelledby="own-node">
    <h2 id="own-node">This node</h2>
    ${node.clock !== undefined && html`<p class="warning-text">${node.clock}</p>`}
    <dl class="figures-list">
      ${figures.map(
        ([name, value]) =>
          value !== undefined &&
          html`<div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
    ${node.peerId !== '' && html`<p class="peer-id" title="Peer id">${node.peerId}</p>`}
  </section>`
}
