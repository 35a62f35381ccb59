import type { ComponentChildren, VNode } from 'preact'
import { apiKey, forgetKey } from './api-key.ts'
import { html } from './html.ts'
import { Icon, Mark } from './icons.ts'
import { ThemeButton } from './theme-button.ts'

/** The links between the pages, and what holds for all of them. */
export function PageLinks({ page }: { readonly page: 'chat' | 'swarm' }): VNode {
  const link = (name: 'chat' | 'swarm', href: string, text: string) =>
    html`<a href=${href} aria-current=${name === page ? 'page' : undefined}>${text}</a>`
  return html`<nav class="page-links" aria-label="Pages">
    <span class="brand"><${Mark} /><span>petals-node</span></span>
    ${link('chat', './', 'Chat')} ${link('swarm', './swarm', 'Swarm')}
  </nav>`
}

/** The page's own small buttons. */
export function PageButtons({ children }: { readonly children?: ComponentChildren }): VNode {
  const key = apiKey.value
  const forget = 'Forget the API key'
  return html`<div class="page-buttons">
    ${children}
    ${
      key !== undefined &&
      html`<button type="button" class="icon-button" aria-label=${forget} title=${forget} onClick=${forgetKey}>
        <${Icon} name="key" />
      </button>`
    }
    <${ThemeButton} />
  </div>`
}
