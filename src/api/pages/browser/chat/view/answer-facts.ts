import type { VNode } from 'preact'
import { amount, duration, plural, serverName } from '../../shared/format.ts'
import { html } from '../../shared/html.ts'
import type { AnswerFacts as Facts, Hop } from '../model/conversation.ts'

/** How fast an answer came; a click shows or hides which servers computed it. */
export function Figures({ facts, isOpen, onToggle }: FiguresProps): VNode | null {
  const { chain = [] } = facts
  const text = figuresOf(facts).join(' · ')
  if (chain.length === 0) return text === '' ? null : html`<span class="figures">${text}</span>`
  const hint = isOpen ? 'Hide the servers' : 'Show the servers'
  return html`<button type="button" class="figures" aria-expanded=${isOpen} title=${hint} onClick=${onToggle}>
    ${text === '' ? 'Servers' : text}
  </button>`
}

interface FiguresProps {
  readonly facts: Facts
  readonly isOpen: boolean
  readonly onToggle: () => void
}

function figuresOf({ state, tokensPerSecond, tokens, firstTokenSeconds, cachedTokens, promptTokens }: Facts): string[] {
  const figures: string[] = []
  if (tokensPerSecond !== undefined && tokensPerSecond > 0)
    figures.push(`${state === 'streaming' ? 'about ' : ''}${amount(tokensPerSecond)} tokens/s`)
  if (tokens !== undefined) figures.push(plural(tokens, 'token'))
  if (firstTokenSeconds !== undefined) figures.push(`first after ${duration(firstTokenSeconds)}`)
  if (promptTokens !== undefined && cachedTokens !== undefined && cachedTokens > 0)
    figures.push(`${amount(cachedTokens)} of ${amount(promptTokens)} prompt tokens reused`)
  return figures
}

/** The servers in the order in which hidden states went through them. */
export function Chain({ chain }: { readonly chain: readonly Hop[] }): VNode | null {
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
