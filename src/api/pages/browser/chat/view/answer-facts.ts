import type { VNode } from 'preact'
import { amount, duration, plural, serverName } from '../../shared/format.ts'
import { html } from '../../shared/html.ts'
import type { AnswerFacts as Facts, Hop } from '../model/conversation.ts'

/** How fast an answer came, and which servers computed it; of older answers on demand. */
export function AnswerFacts({ facts, isOpen }: { readonly facts: Facts; readonly isOpen: boolean }): VNode | null {
  const { chain = [] } = facts
  const figures = figuresOf(facts)
  if (chain.length === 0 && figures.length === 0) return null
  return html`<details class="facts" open=${isOpen}>
    <summary>${figures.length > 0 ? figures.join(' · ') : 'Computed by'}</summary>
    <${Chain} chain=${chain} />
  </details>`
}

function figuresOf({ tokensPerSecond, tokens, firstTokenSeconds, cachedTokens, promptTokens, model }: Facts): string[] {
  const figures: string[] = []
  if (tokensPerSecond !== undefined && tokensPerSecond > 0) figures.push(`${amount(tokensPerSecond)} tokens/s`)
  if (tokens !== undefined) figures.push(plural(tokens, 'token'))
  if (firstTokenSeconds !== undefined) figures.push(`first after ${duration(firstTokenSeconds)}`)
  if (promptTokens !== undefined && cachedTokens !== undefined && cachedTokens > 0)
    figures.push(`${amount(cachedTokens)} of ${amount(promptTokens)} prompt tokens reused`)
  return figures.length === 0 ? figures : [...figures, model]
}

/** The servers in the order in which hidden states went through them. */
function Chain({ chain }: { readonly chain: readonly Hop[] }): VNode | null {
  if (chain.length === 0) return null
  return html`<ol class="chain" aria-label="Servers that computed it, in order">
    ${chain.map((hop) => {
      const arithmetic = [hop.device, hop.dtype, ...(hop.quant === 'none' ? [] : [hop.quant])].join(' ')
      return html`<li title=${`${hop.peer}, ${arithmetic}`}>
        <span class="hop-name">${serverName(hop.peer, hop.name)}</span>
        <span class="hop-blocks">${hop.blocks}</span>
      </li>`
    })}
  </ol>`
}
