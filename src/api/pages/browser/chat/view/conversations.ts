import type { VNode } from 'preact'
import { html } from '../../shared/html.ts'
import { Icon } from '../../shared/icons.ts'
import { memo } from '../../shared/memo.ts'
import { answering } from '../model/answering.ts'
import { conversations, current, isKept, remove, show, startNew } from '../model/state.ts'
import type { Conversation } from '../model/conversation.ts'
import { focusComposer } from './shortcuts.ts'

interface ConversationsProps {
  /** Called when one was chosen. */
  readonly onChosen?: () => void
}

/** All conversations of this browser, by day. */
export function Conversations({ onChosen }: ConversationsProps): VNode {
  const begin = (): void => {
    startNew()
    onChosen?.()
    focusComposer()
  }
  const groups = Map.groupBy(conversations.value, ({ updated }) => dayOf(updated))
  return html`<nav class="conversations" aria-label="Conversations">
    <button type="button" class="button new" title="New conversation (Alt N)" onClick=${begin}>
      <${Icon} name="plus" /> New conversation
    </button>
    <div class="conversation-list">
      ${[...groups].map(
        ([day, members]) =>
          html`<section key=${day}>
            <h2>${day}</h2>
            <ul>
              ${members.map(
                (each) =>
                  html`<${Entry}
                    key=${each.id}
                    conversation=${each}
                    isShown=${each.id === current.value.id}
                    isAnswering=${answering.value.has(each.id)}
                    onChosen=${onChosen}
                  />`,
              )}
            </ul>
          </section>`,
      )}
      ${conversations.value.length === 0 && html`<p class="quiet">What you write is kept in this browser only.</p>`}
      ${!isKept.value && html`<p class="quiet">This browser keeps nothing: conversations end with the page.</p>`}
    </div>
  </nav>`
}

interface EntryProps {
  readonly conversation: Conversation
  readonly isShown: boolean
  readonly isAnswering: boolean
  readonly onChosen: (() => void) | undefined
}

const Entry = memo(({ conversation, isShown, isAnswering, onChosen }: EntryProps): VNode => {
  const choose = (event: Event): void => {
    event.preventDefault()
    show(conversation)
    onChosen?.()
  }
  return html`<li>
    <a href=${`#${conversation.id}`} aria-current=${isShown ? 'true' : undefined} onClick=${choose}>
      ${isAnswering && html`<span class="dot busy" title="The model answers"></span>`}
      <span dir="auto">${conversation.title}</span>
    </a>
    <button
      type="button"
      class="icon-button"
      aria-label=${`Delete “${conversation.title}”`}
      title="Delete"
      onClick=${() => remove(conversation)}
    >
      <${Icon} name="trash" />
    </button>
  </li>`
})

const DAY_MS = 24 * 60 * 60 * 1000

function dayOf(at: number): string {
  const midnight = new Date().setHours(0, 0, 0, 0)
  if (at >= midnight) return 'Today'
  if (at >= midnight - DAY_MS) return 'Yesterday'
  if (at >= midnight - 6 * DAY_MS) return 'This week'
  return new Date(at).toLocaleDateString('en', { month: 'long', year: 'numeric' })
}
