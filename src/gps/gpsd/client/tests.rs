//! A connection through refusals, hang-ups and silence, at a server in the same process.

use tokio::net::TcpListener;

use super::*;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// What a client says first, by a server that has just accepted it.
async fn greeted(listener: &TcpListener) -> TcpStream {
    let mut stream = listener.accept().await.unwrap().0;
    let mut said = vec![0; WATCH.len()];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, WATCH);
    stream
}

#[tokio::test]
async fn a_gpsd_that_is_not_there_is_told_with_what_to_do_and_found_once_it_is() {
    let (gone, address) = listener().await;
    drop(gone);
    let mut client = Client::new(&address);
    let mut buf = [0; 16];
    assert!(timeout(Duration::from_millis(100), client.next(&mut buf)).await.is_err());
    let problem = client.health().problem.clone().unwrap();
    assert!(problem.contains(&address) && problem.contains("is it running"), "{problem}");
    assert!(!client.health().open);

    let back = TcpListener::bind(&address).await.unwrap();
    let server = tokio::spawn(async move { greeted(&back).await });
    assert!(matches!(client.next(&mut buf).await, Event::Opened));
    assert!(client.health().open && client.health().problem.is_none());
    server.await.unwrap();
}

#[tokio::test]
async fn one_that_closes_the_connection_is_called_again() {
    let (listener, address) = listener().await;
    let mut client = Client::new(&address);
    let mut buf = [0; 16];
    for opened in 1..=2 {
        let server = async {
            let mut stream = greeted(&listener).await;
            stream.write_all(b"{\"class\"").await.unwrap();
        };
        let (event, ()) = tokio::join!(client.next(&mut buf), server);
        assert!(matches!(event, Event::Opened));
        assert!(matches!(client.next(&mut buf).await, Event::Bytes(8)));
        assert!(matches!(client.next(&mut buf).await, Event::Lost));
        assert_eq!((client.health().opened, client.health().lost), (opened, opened));
        assert!(client.health().problem.as_ref().unwrap().contains("closed"));
    }
}

#[tokio::test]
async fn a_quiet_one_is_asked_and_kept_while_it_answers_and_given_up_when_it_does_not() {
    let (listener, address) = listener().await;
    let mut client = Client::new(&address);
    let mut buf = [0; 16];
    let (event, mut stream) = tokio::join!(client.next(&mut buf), greeted(&listener));
    assert!(matches!(event, Event::Opened));
    tokio::time::pause();
    let answered = async {
        let mut asked = vec![0; ASK.len()];
        for _ in 0..3 {
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, ASK);
            stream.write_all(b"{}\n").await.unwrap();
        }
        stream
    };
    let heard = async {
        for _ in 0..3 {
            assert!(matches!(client.next(&mut buf).await, Event::Bytes(3)));
        }
        client
    };
    let (mut client, mut stream) = tokio::join!(heard, answered);
    let since = Instant::now();
    assert!(matches!(client.next(&mut buf).await, Event::Lost));
    assert_eq!(since.elapsed().as_secs(), 15);
    let problem = client.health().problem.clone().unwrap();
    assert!(problem.contains("has not answered for 15 s"), "{problem}");
    stream.read_exact(&mut [0; ASK.len()]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed");
}

#[tokio::test]
async fn another_address_is_another_connection_and_the_same_is_not() {
    let (first, address) = listener().await;
    let (second, other) = listener().await;
    let mut client = Client::new(&address);
    let mut buf = [0; 16];
    let (_, _stream) = tokio::join!(client.next(&mut buf), greeted(&first));
    client.change(&address);
    assert!(client.health().open);
    client.change(&other);
    assert!(!client.health().open);
    let (event, _stream) = tokio::join!(client.next(&mut buf), greeted(&second));
    assert!(matches!(event, Event::Opened));
    client.shut();
    assert!(!client.health().open && client.health().problem.is_none());
}
