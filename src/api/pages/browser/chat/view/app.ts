import { signal } from '@preact/signals'
import type { VNode } from 'preact'
import { Dialog } from '../../shared/dialog.ts'
import { html } from '../../shared/html.ts'
import { Icon } from '../../shared/icons.ts'
import { KeyDialog } from '../../shared/key-dialog.ts'
import { PageButtons, PageLinks } from '../../shared/shell.ts'
import { SwarmChip } from '../../shared/swarm-chip.ts'
import { spoken } from '../model/answering.ts'
import { baseOf } from '../model/models.ts'
import { current, deleted, keepTrouble, undoRemove } from '../model/state.ts'
import { Composer } from './composer.ts'
import { ModelChoice } from './model-choice.ts'
import { Settings } from './settings.ts'
import { Conversations } from './conversations.ts'
import { Thread } from './thread.ts'

/** Whether the list of conversations is open, where there is no room for it beside the conversation. */
export const isListOpen = signal(false)
export const areSettingsOpen = signal(false)

export function App(): VNode {
  const closeList = (): void => {
    isListOpen.value = false
  }
  return html`<a class="skip" href="#composer">To the message box</a>
    <div class="chat">
      <aside class="sidebar">
        <${PageLinks} page="chat" />
        <${Conversations} />
      </aside>
      <div class="main">
        <${Header} />
        <main><${Thread} /></main>
        <${Composer} />
      </div>
    </div>
    <${Dialog} isOpen=${isListOpen.value} label="Conversations" class="drawer left" onClose=${closeList}>
      <${PageLinks} page="chat" />
      <${Conversations} onChosen=${closeList} />
    <//>
    <${SettingsDialog} />
    <${KeyDialog} />
    <div class="toasts">
      <${KeepTrouble} />
      <${Undo} />
    </div>
    <div class="spoken" role="status">${spoken.value}</div>`
}

function Header(): VNode {
  const { model } = current.value
  const base = baseOf(model)
  return html`<header class="top">
    <button
      type="button"
      class="icon-button narrow-only"
      aria-label="Conversations"
      onClick=${() => (isListOpen.value = true)}
    >
      <${Icon} name="menu" />
    </button>
    <${ModelChoice} />
    <span class="grow"></span>
    <${SwarmChip} model=${base} />
    <${PageButtons}>
      <button
        type="button"
        class="icon-button"
        aria-label="Settings of this conversation"
        title="Settings of this conversation"
        onClick=${() => (areSettingsOpen.value = true)}
      >
        <${Icon} name="sliders" />
      </button>
    <//>
  </header>`
}

function SettingsDialog(): VNode {
  const close = (): void => {
    areSettingsOpen.value = false
  }
  return html`<${Dialog}
    isOpen=${areSettingsOpen.value}
    label="Settings of this conversation"
    class="drawer right"
    onClose=${close}
  >
    <${Settings} onClose=${close} />
  <//>`
}

function KeepTrouble(): VNode | null {
  const reason = keepTrouble.value
  if (reason === undefined) return null
  return html`<div class="toast" role="alert">
    <p>
      <strong>Not kept:</strong> ${reason}. What you see ends with the page; delete other conversations, or save this
      one as Markdown in its settings.
    </p>
    <button type="button" class="button small" onClick=${closeTrouble}>Close</button>
  </div>`
}

function closeTrouble(): void {
  keepTrouble.value = undefined
}

function Undo(): VNode | null {
  const conversation = deleted.value
  if (conversation === undefined) return null
  return html`<div class="toast" role="status">
    <span>Deleted “<bdi>${conversation.title}</bdi>”</span>
    <button type="button" class="button small" onClick=${undoRemove}>Undo</button>
  </div>`
}
