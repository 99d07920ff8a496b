import { Footer, Layout, Navbar } from 'nextra-theme-docs';
import { Head } from 'nextra/components';
import { getPageMap } from 'nextra/page-map';
import 'nextra-theme-docs/style.css';
import './theme.css';

export const metadata = {
  title: { default: 'syntax-publish', template: '%s – syntax-publish' },
  description: 'Publishes the static export of a Next.js site to plain nginx over SFTP',
};

export default async function RootLayout({ children }) {
  return (
    <html lang="en" dir="ltr" suppressHydrationWarning>
      <Head />
      <body>
        <Layout
          navbar={<Navbar logo={<b>syntax-publish</b>} />}
          footer={<Footer>MIT or Apache 2.0, as you like.</Footer>}
          pageMap={await getPageMap()}
          docsRepositoryBase="https://example.org/"
          copyPageButton={false}
          editLink={null}
          feedback={{ content: null }}
          sidebar={{ defaultMenuCollapseLevel: 2 }}
        >
          {children}
        </Layout>
      </body>
    </html>
  );
}
