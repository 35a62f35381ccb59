import type { VNode } from 'preact'
import type { ServerSnapshot } from '../../../swarm-view/snapshot.ts'
import { percent, serverName } from '../shared/format.ts'
import { html } from '../shared/html.ts'
import { pointed } from './selection.ts'
import { NONE, arithmeticOf, cacheShare, queueText, rateText, roundTripText, stateOf } from './words.ts'

/** All servers of a model with their figures. On a phone each is a card of two lines. */
export function ServerTable({ servers }: { readonly servers: readonly ServerSnapshot[] }): VNode | null {
  if (servers.length === 0) return null
  return html`<table class="servers">
    <thead>
      <tr>
        <th scope="col">Server</th>
        <th scope="col">State</th>
        <th scope="col" class="figure">Blocks</th>
        <th scope="col" class="figure">Tokens/s</th>
        <th scope="col" class="figure">Queue</th>
        <th scope="col" class="figure">Cache used</th>
        <th scope="col" class="figure">Round trip</th>
        <th scope="col">Computes in</th>
        <th scope="col">Version</th>
      </tr>
    </thead>
    <tbody>
      ${servers.map((server) => html`<${Row} key=${server.peerId} server=${server} />`)}
    </tbody>
  </table>`
}

function Row({ server }: { readonly server: ServerSnapshot }): VNode {
  const { peerId, name, isOwn, start, end, throughput, queueMs, roundTripMs, version, reachable, movingTo } = server
  const { text, tone } = stateOf(server)
  const used = cacheShare(server)
  const notes = [
    ...(isOwn ? ['this node'] : []),
    ...(reachable === false ? ['others cannot reach it'] : []),
    ...(movingTo === undefined ? [] : [`moves to ${movingTo}`]),
    ...server.adapters.map((adapter) => `adapter ${adapter}`),
  ]
  const point = (isOver: boolean) => (): void => {
    pointed.value = isOver ? peerId : undefined
  }
  return html`<tr
    id=${`server-${peerId}`}
    tabindex="-1"
    data-pointed=${pointed.value === peerId}
    onMouseEnter=${point(true)}
    onMouseLeave=${point(false)}
  >
    <th scope="row" title=${peerId}>
      ${serverName(peerId, name)} ${notes.length > 0 && html`<span class="note">${notes.join(', ')}</span>`}
    </th>
    <td class="state"><span class=${`dot ${tone}`}></span>${text}</td>
    <${Figure} label="blocks" text=${`${start}:${end}`} />
    <${Figure} label="tokens/s" text=${rateText(throughput)} />
    <${Figure} label="queue" text=${queueText(queueMs)} />
    <${Figure} label="cache used" text=${used === undefined ? NONE : percent(used)} />
    <${Figure} label="round trip" text=${roundTripText(server.answers ? roundTripMs : undefined)} />
    <td class="arithmetic">${arithmeticOf(server)}</td>
    <td class="version">${version}</td>
  </tr>`
}

/** On a phone its label stands behind it, and one without a value is left out. */
function Figure({ label, text }: { readonly label: string; readonly text: string }): VNode {
  return html`<td class=${`figure ${text === NONE ? 'none' : ''}`} data-label=${label}>${text}</td>`
}
